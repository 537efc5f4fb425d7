// The API reference: Swagger UI on our own document.
"use strict";

const reference = document.getElementById("reference");
SwaggerUIBundle({
  url: reference.dataset.schema,
  domNode: reference,
  deepLinking: true,
  docExpansion: "list",
  filter: true,
  defaultModelsExpandDepth: 0,
  // A token is kept no longer than the page, and nobody outside is asked to check the document.
  persistAuthorization: false,
  validatorUrl: null,
});
