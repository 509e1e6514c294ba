// Starts the dashboard. The build fills in the hashed names of the glue code and the wasm file.
import init from "{{JS}}";

// The theme this browser chose, before the first frame of the application.
try {
  const theme = localStorage.getItem("fiber-theme");
  if (theme) document.documentElement.dataset.theme = theme;
} catch {
  // Storage is switched off: the system's theme it is.
}

init({ module_or_path: "{{WASM}}" }).catch((error) => {
  console.error(error);
  document.getElementById("crash").removeAttribute("hidden");
});
