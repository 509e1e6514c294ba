// Runs before anything else and after everything else: it starts the application, asks the engine
// for it, and is still there when it has crashed. Written into the page, so its hash is in the
// policy; nothing that changes with a build may stand in it.
(() => {
  const root = document.documentElement;
  try {
    const theme = localStorage.getItem("fiber-theme");
    if (theme) root.dataset.theme = theme;
  } catch {
    // Storage is switched off: the system's theme it is.
  }
  root.dataset.page = location.pathname.split("/")[1] || "overview";

  const ask = (method, url, body) =>
    fetch(url, body ? { method, body, headers: { "Content-Type": "application/json" } } : { method });
  // A refresh token works once, so one tab refreshes for all of them.
  let refreshing;
  const refresh = async () => {
    const me = await ask("GET", "/api/auth/me");
    if (me.ok && !(await me.json()).data.anonymous) return true;
    return (await ask("POST", "/api/auth/refresh")).ok;
  };
  const refreshOnce = () =>
    (refreshing ??= (navigator.locks ? navigator.locks.request("fiber-refresh", refresh) : refresh()).finally(() => {
      refreshing = undefined;
    }));
  globalThis.fiberAsk = async (method, url, body) => {
    const answer = await ask(method, url, body);
    const ends = /^\/api\/auth\/(login|refresh|logout)$/.test(url);
    return answer.status === 401 && !ends && (await refreshOnce()) ? ask(method, url, body) : answer;
  };

  // After the first paint: until then the little there is of the line and the processor is the page's.
  const link = (name) => document.querySelector(`link[data-asset=${name}]`).href;
  let begun = false;
  const begin = async () => {
    if (begun) return;
    begun = true;
    try {
      const wasm = fetch(link("wasm"));
      const { default: init } = await import(link("glue"));
      await init({ module_or_path: wasm });
    } catch (error) {
      console.error(error);
      document.getElementById("crash").removeAttribute("hidden");
    }
  };
  // The second frame begins when the first is drawn.
  requestAnimationFrame(() => requestAnimationFrame(() => setTimeout(begin)));
  // A tab that is not looked at is not painted.
  setTimeout(begin, 1000);
})();
