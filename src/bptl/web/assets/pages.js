/* On every page: htmx, and manners for what refreshes itself. Nothing is inline, because the pages forbid it. */
import "htmx.org";

const QUIET_MS = 15_000;
let announcedAt = 0;
let known = null;

const paused = (region) => region.dataset.paused === "true";

document.addEventListener("htmx:config:request", (event) => {
  const region = event.detail.ctx.sourceElement.closest("[data-refresh]");
  // Nobody looks at a hidden page, and a paused one was asked to hold still.
  if (region && (document.hidden || paused(region))) event.preventDefault();
});

document.addEventListener("click", (event) => {
  const button = event.target.closest("[data-pause]");
  if (!button) return;
  const region = document.getElementById(button.dataset.pause);
  region.dataset.paused = String(!paused(region));
  button.setAttribute("aria-pressed", region.dataset.paused);
});

/* New rows are marked for the eye at once and told to a screen reader now and then. */
const rows = (region) => new Map([...region.querySelectorAll("tr[id]")].map((row) => [row.id, row.dataset.state]));

document.addEventListener("htmx:before:swap", () => {
  const region = document.querySelector("[data-refresh][data-announce]");
  known = region && rows(region);
});

document.addEventListener("htmx:after:swap", () => {
  const region = document.querySelector("[data-refresh][data-announce]");
  if (!region || !known) return;
  const now = rows(region);
  const fresh = [...now.keys()].filter((id) => !known.has(id));
  const moved = [...now].filter(([id, state]) => known.has(id) && known.get(id) !== state).length;
  for (const id of fresh) document.getElementById(id).classList.add("bptl-fresh");
  known = null;
  if ((fresh.length || moved) && Date.now() - announcedAt > QUIET_MS) {
    announcedAt = Date.now();
    document.getElementById("announcements").textContent = region.dataset.announce
      .replace("{new}", fresh.length)
      .replace("{changed}", moved);
  }
});

/* A refresh that fails leaves the old page standing; it must say so. */
function stale(isStale) {
  const notice = document.getElementById("stale");
  if (!notice || notice.hidden === !isStale) return;
  notice.hidden = !isStale;
  notice.textContent = isStale ? notice.dataset.text : "";
}
document.addEventListener("htmx:error", () => stale(true));
document.addEventListener("htmx:response:error", () => stale(true));
document.addEventListener("htmx:after:swap", () => stale(false));

if (matchMedia("(width < 48rem)").matches) {
  for (const details of document.querySelectorAll("details[data-fold-on-phone]")) details.open = false;
}

/* Shown only where it works: a page over plain http has no clipboard. */
for (const button of navigator.clipboard ? document.querySelectorAll("[data-copy]") : []) {
  button.hidden = false;
  button.addEventListener("click", async () => {
    await navigator.clipboard.writeText(document.getElementById(button.dataset.copy).textContent);
    document.getElementById("announcements").textContent = button.dataset.copied;
    button.textContent = button.dataset.copied;
  });
}

/* A box that finds rows: without scripts its form asks the page again. Refreshed rows are looked through anew. */
function find() {
  for (const box of document.querySelectorAll("[data-find]")) {
    const text = box.value.trim().toLowerCase();
    for (const row of document.querySelectorAll(box.dataset.find)) {
      row.hidden = !row.textContent.toLowerCase().includes(text);
    }
  }
}
document.addEventListener("input", (event) => event.target.closest("[data-find]") && find());
document.addEventListener("htmx:after:swap", find);
