/** Starts Swagger UI over /openapi.json, shows the examples of each call, and mends what keeps it from being accessible. */

// Swagger UI has a dark theme but does not look at the system's setting itself.
const dark = matchMedia("(prefers-color-scheme: dark)");
const followSystem = () => document.documentElement.classList.toggle("dark-mode", dark.matches);
dark.addEventListener("change", followSystem);
followSystem();

const root = document.querySelector("#swagger-ui");
const documentUrl = new URL("openapi.json", document.baseURI).href;
const serverUrl = new URL(".", document.baseURI).href.replace(/\/$/, "");

/** A plugin: the `x-codeSamples` of an operation stand above its parameters. */
const codeSamples = ({ React: { createElement, Fragment } }) => ({
  wrapComponents: {
    parameters: (Parameters) => (props) => {
      const HighlightCode = props.getComponent("HighlightCode", true);
      const samples = props.operation.get("x-codeSamples").map((sample) =>
        createElement(
          "details",
          { key: sample.get("label") },
          createElement("summary", null, sample.get("label")),
          createElement(HighlightCode, { language: sample.get("lang").toLowerCase(), canCopy: true }, sample.get("source")),
        ),
      );
      return createElement(
        Fragment,
        null,
        createElement("div", { className: "opblock-section-header" }, createElement("h4", null, "Examples of the call")),
        createElement("div", { className: "code-samples" }, samples),
        createElement(Parameters, props),
      );
    },
  },
});

/** A plugin: a path is no link inside the button that opens it. The address bar has the link once it is open. */
const plainPaths = ({ React: { createElement } }) => ({
  components: { DeepLink: ({ text }) => createElement("span", null, text) },
});

/** Adds what Swagger UI leaves out of its elements for assistive technology. */
function mend() {
  for (const heading of root.querySelectorAll("h3, h4, h5")) heading.ariaLevel = heading.tagName[1] - 1; // it has no h2
  for (const table of root.querySelectorAll(".responses-table")) table.removeAttribute("role"); // regions without names
  for (const code of root.querySelectorAll("pre.microlight")) code.tabIndex = 0; // to scroll it with keys
  for (const close of root.querySelectorAll(".close-modal")) close.ariaLabel = "Close";
  for (const copy of root.querySelectorAll(".copy-to-clipboard button")) copy.ariaLabel = "Copy";
  for (const list of root.querySelectorAll(".examples-select-element")) list.ariaLabel = "Examples";
  for (const body of root.querySelectorAll(".body-param__text")) body.ariaLabel = "Request body";
  for (const row of root.querySelectorAll("[data-param-name], [data-property-name]")) {
    const { paramName, propertyName } = row.dataset;
    for (const control of row.querySelectorAll("select, input, textarea")) control.ariaLabel ||= paramName ?? propertyName;
  }
}
new MutationObserver(mend).observe(root, { childList: true, subtree: true });

SwaggerUIBundle({
  url: documentUrl,
  domNode: root,
  plugins: [codeSamples, plainPaths],
  deepLinking: true,
  defaultModelsExpandDepth: 0,
  docExpansion: "list",
  tryItOutEnabled: false,
  syntaxHighlight: { theme: "tomorrow-night" }, // the default's numbers are too faint to read
  validatorUrl: null, // the default sends the document's address to a validator on the internet
  // A proxy may have hidden the service's own address from it; the browser knows it.
  responseInterceptor: (response) => {
    if (response.ok && response.url === documentUrl) {
      response.text = response.text.replaceAll(JSON.parse(response.text).servers[0].url, serverUrl);
    }
  },
});
