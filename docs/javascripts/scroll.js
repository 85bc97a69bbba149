// What scrolls sideways can be reached and moved with a keyboard. The theme sees to that only where a pointer can hover.
const reach = () => document.querySelectorAll("pre > code, .md-typeset__scrollwrap").forEach(one => {
  if (one.tabIndex < 0) one.tabIndex = 0
})
new MutationObserver(reach).observe(document.body, {
  attributeFilter: ["tabindex"], childList: true, subtree: true
})
reach()
