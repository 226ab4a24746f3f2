// Redoc's own fonts would come from another host.
const font = "system-ui, -apple-system, 'Segoe UI', Roboto, sans-serif";
Redoc.init(
  "openapi.json",
  {
    jsonSampleExpandLevel: 3,
    requiredPropsFirst: true,
    theme: { typography: { fontFamily: font, headings: { fontFamily: font } } },
  },
  document.getElementById("reference"),
);
