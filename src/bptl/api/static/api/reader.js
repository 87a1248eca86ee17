// Shows the description of the API; in a file of its own, because our pages allow no script inside them.
"use strict";

const place = document.getElementById("description");
if (place.dataset.reader === "swagger") {
  window.SwaggerUIBundle({ url: place.dataset.address, domNode: place, deepLinking: true });
} else {
  window.Redoc.init(place.dataset.address, { hideLoading: true }, place);
}
