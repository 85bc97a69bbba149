// What scrolls sideways on a small screen can be reached and moved with a keyboard.
document.querySelectorAll("pre > code, .md-typeset__scrollwrap").forEach(one => one.setAttribute("tabindex", "0"))
