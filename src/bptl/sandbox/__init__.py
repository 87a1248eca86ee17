"""A small BPMN engine for laptops and tests: SpiffWorkflow behind the Camunda 7 REST API."""
