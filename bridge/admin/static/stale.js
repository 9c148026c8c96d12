// Says that a page is not up to date while its parts cannot be had: one that is left open must not look well
// when the bridge has ended.
(() => {
  const tell = (stale) => {
    document.getElementById("stale").hidden = !stale;
  };
  document.addEventListener("htmx:after:request", (event) => tell(event.detail.ctx.response.status >= 400));
  document.addEventListener("htmx:error", () => tell(true));
})();
