/* Starts Swagger UI, whose bundle is a classic script and defines SwaggerUIBundle. */
"use strict";

{
  // Swagger UI has a dark theme but does not look at the system's setting itself.
  const dark = matchMedia("(prefers-color-scheme: dark)");
  const follow = () => document.documentElement.classList.toggle("dark-mode", dark.matches);
  dark.addEventListener("change", follow);
  follow();
}

SwaggerUIBundle({
  url: new URL("openapi.json", document.baseURI).href,
  dom_id: "#swagger-ui",
  deepLinking: true,
  defaultModelsExpandDepth: 0,
  docExpansion: "list",
  tryItOutEnabled: false,
  syntaxHighlight: { theme: "tomorrow-night" }, // the default's numbers are too faint to read
  validatorUrl: null, // the default sends the document's address to a validator on the internet
});
