// What the theme and the libraries that make tables and references leave unsaid to screen readers.
addEventListener("DOMContentLoaded", () => {
  const each = (selector, act) => document.querySelectorAll(selector).forEach(act);
  each(".bd-sidebar-primary", (sidebar) => {
    sidebar.setAttribute("role", "region");
    sidebar.setAttribute("aria-label", "Sidebar");
  });
  each(".bd-sidebar-primary summary", (summary) => {
    const chapter = summary.closest("li").querySelector("a").textContent.trim();
    summary.setAttribute("aria-label", `Pages of ${chapter}`);
  });
  each("th", (head) => { if (!head.textContent.trim()) head.setAttribute("role", "cell"); });
  each("[role=doc-biblioentry]", (entry) => entry.setAttribute("role", "listitem"));
});
