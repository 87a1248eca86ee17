/* A modeler as the Camunda Modeler is made: bpmn-js with its properties panel and element templates for Camunda 7. */
import Modeler from "bpmn-js/lib/Modeler";
import {
  BpmnPropertiesPanelModule,
  BpmnPropertiesProviderModule,
  CamundaPlatformPropertiesProviderModule,
} from "bpmn-js-properties-panel";
import { ElementTemplatesPropertiesProviderModule } from "bpmn-js-element-templates";
import CamundaBehaviors from "camunda-bpmn-js-behaviors/lib/camunda-platform";
import camunda from "camunda-bpmn-moddle/resources/camunda.json";
import "bpmn-js/dist/assets/diagram-js.css";
import "bpmn-js/dist/assets/bpmn-js.css";
import "@bpmn-io/properties-panel/dist/assets/properties-panel.css";
import "bpmn-js-element-templates/dist/assets/element-templates.css";

const MODEL = `<?xml version="1.0" encoding="UTF-8"?>
<bpmn:definitions xmlns:bpmn="http://www.omg.org/spec/BPMN/20100524/MODEL"
  xmlns:bpmndi="http://www.omg.org/spec/BPMN/20100524/DI" xmlns:dc="http://www.omg.org/spec/DD/20100524/DC"
  id="definitions" targetNamespace="https://example.org/">
  <bpmn:process id="process" isExecutable="true"><bpmn:task id="step" /></bpmn:process>
  <bpmndi:BPMNDiagram id="diagram"><bpmndi:BPMNPlane id="plane" bpmnElement="process">
    <bpmndi:BPMNShape id="shape" bpmnElement="step"><dc:Bounds x="120" y="80" width="100" height="80" /></bpmndi:BPMNShape>
  </bpmndi:BPMNPlane></bpmndi:BPMNDiagram>
</bpmn:definitions>`;

const modeler = new Modeler({
  container: "#canvas",
  propertiesPanel: { parent: "#panel" },
  additionalModules: [
    BpmnPropertiesPanelModule,
    BpmnPropertiesProviderModule,
    CamundaPlatformPropertiesProviderModule,
    ElementTemplatesPropertiesProviderModule,
    CamundaBehaviors,
  ],
  moddleExtensions: { camunda },
});
const errors = [];
modeler.on("elementTemplates.errors", (event) => errors.push(...event.errors.map((error) => error.message)));

/* For the test: draws one task and offers the templates for it; answers what the loader has against them. */
window.offer = async (templates) => {
  await modeler.importXML(MODEL);
  errors.length = 0;
  modeler.get("elementTemplatesLoader").setTemplates(templates);
  modeler.get("selection").select(modeler.get("elementRegistry").get("step"));
  return errors;
};
window.apply = (id) => {
  const templates = modeler.get("elementTemplates");
  const step = modeler.get("elementRegistry").get("step");
  templates.applyTemplate(step, templates.get(id));
};
/* As somebody clicks on the task. The panel follows what is selected a moment later, the model's own opening too. */
window.choose = () => {
  modeler.get("selection").select(null);
  modeler.get("selection").select(modeler.get("elementRegistry").get("step"));
};
window.saved = async () => (await modeler.saveXML({ format: true })).xml;
window.ready = true;
