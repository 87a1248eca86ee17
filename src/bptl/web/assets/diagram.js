/* The process diagram of a task. The model comes as text within the page's own fragment; the bpmn.io mark stays. */
import NavigatedViewer from "bpmn-js/lib/NavigatedViewer";
import "bpmn-js/dist/assets/diagram-js.css";

async function draw(place) {
  const canvasElement = place.querySelector("[data-canvas]");
  // Models keep the width that a label had in Arial at 11 pixels; our own font is a tenth wider, and breaks no word at 10.
  const font = { fontFamily: 'Arial, "Liberation Sans", "Noto Sans Variable", sans-serif' };
  const viewer = new NavigatedViewer({
    container: canvasElement,
    textRenderer: { defaultStyle: font, externalStyle: { ...font, fontSize: 10 } },
  });
  try {
    await viewer.importXML(place.querySelector("[data-bpmn]").textContent);
  } catch (error) {
    place.hidden = true;
    place.parentElement.querySelector("[data-unreadable]").hidden = false;
    return;
  }
  const canvas = viewer.get("canvas");
  canvas.zoom("fit-viewport", "auto");
  const activity = place.dataset.activity;
  if (activity && viewer.get("elementRegistry").get(activity)) {
    canvas.addMarker(activity, "bptl-here");
    if (place.dataset.failed === "true") canvas.addMarker(activity, "bptl-here-failed");
  }
  place.querySelector("[data-tools]").addEventListener("click", (event) => {
    const step = event.target.closest("button")?.dataset.zoom;
    if (step === "fit") canvas.zoom("fit-viewport", "auto");
    else if (step) viewer.get("zoomScroll").stepZoom(Number(step));
  });
  place.dataset.drawn = "true";
}

function drawAll() {
  for (const place of document.querySelectorAll("[data-diagram]:not([data-seen])")) {
    place.dataset.seen = "true";
    draw(place);
  }
}

document.addEventListener("htmx:after:swap", drawAll);
drawAll();
