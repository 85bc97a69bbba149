"use strict";
// Names come from the server as text and are shown as text: nothing here makes HTML of a string.
{
  const at = (id) => document.getElementById(id);
  const main = document.querySelector("main");
  const drop = at("drop");
  const explains = main.dataset.explains === "true";
  const shownAtFirst = 6;
  let current = 0; // of several photos in a row, only the last is shown

  at("curl").textContent = `curl -F image=@photo.jpg ${new URL("predict", location.href)}`;

  // --- what the server is asked
  const ask = async (path, photo) => {
    const body = new FormData();
    body.append("image", photo, photo.name || "photo");
    let answer;
    try {
      answer = await fetch(path, { method: "POST", body });
    } catch {
      throw { what: "the server does not answer.", do: "Is it still running? Try again." };
    }
    let told = {};
    try {
      told = await answer.json();
    } catch {
      // a proxy in between answers in its own words
    }
    if (!answer.ok) throw told.error ?? { what: `the server answered ${answer.status}.`, do: "Try again." };
    return told;
  };

  // --- what it says
  const percent = (share) => `${(100 * share).toFixed(1)} %`;
  const sentence = (words) => words.charAt(0).toUpperCase() + words.slice(1);
  const make = (name, text = "", kind = "") => {
    const one = document.createElement(name);
    one.textContent = text;
    if (kind) one.className = kind;
    return one;
  };
  const bar = (label, share, said) => {
    const item = make("li", "", said ? "said" : "");
    const row = make("div", "", "row");
    row.append(make("span", label), make("b", percent(share)));
    const track = make("span", "", "track");
    const fill = make("i");
    fill.style.width = `${100 * share}%`;
    track.append(fill);
    item.append(row, track);
    return item;
  };
  const refuse = (error) => {
    const refusal = at("refusal");
    refusal.replaceChildren(make("b", sentence(error.what ?? "something went wrong.")));
    for (const words of [error.accepted && `Accepted: ${error.accepted}.`, error.do]) {
      if (words) refusal.append(make("span", `${words} `));
    }
    refusal.hidden = false;
  };
  const tell = (told) => {
    const several = Array.isArray(told.label);
    // A model that may abstain has an answer beside the label: one of several classes, or "unknown".
    const abstains = "answer" in told && String(told.answer) !== String(told.label);
    const said = [abstains ? told.answer : told.label].flat().map(String);
    // An object would put names that are whole numbers first: the order is that of the probabilities.
    const pairs = Object.entries(told.probabilities).sort((a, b) => b[1] - a[1]);
    const counted = several ? `${said.length} of ${pairs.length} classes` : `${percent(told.probability)} sure`;
    const guessed = Array.isArray(told.answer) ? "one of these" : `likeliest: ${pairs[0][0]}, ${percent(pairs[0][1])}`;
    at("label").textContent = said.join(abstains ? " or " : ", ") || "none of the classes";
    at("sure").textContent = abstains ? guessed : counted;
    const bars = pairs.map(([label, share]) => bar(label, share, said.includes(label)));
    bars.forEach((one, index) => { one.hidden = index >= shownAtFirst; });
    at("bars").replaceChildren(...bars);
    const more = at("more");
    more.hidden = bars.length <= shownAtFirst;
    more.ariaExpanded = "false";
    more.textContent = `All ${bars.length} classes`;
    at("id").textContent = told.id;
    at("result").hidden = false;
    at("status").textContent = `${at("label").textContent}, ${at("sure").textContent}`;
  };

  // --- one photo
  const heat = (shown) => {
    at("heat").hidden = !shown;
    at("toggle").ariaPressed = String(shown);
  };
  const look = async (photo) => {
    const mine = ++current;
    at("refusal").hidden = true;
    at("result").hidden = true;
    at("toggle").hidden = true;
    heat(false);
    if (photo.size > Number(main.dataset.most)) {
      refuse({
        what: `the file has ${photo.size.toLocaleString("en")} bytes.`,
        accepted: `at most ${Number(main.dataset.most).toLocaleString("en")} bytes`,
        do: "Choose a smaller one.",
      });
      return;
    }
    drop.classList.add("busy");
    at("status").textContent = "Looking at the photo";
    URL.revokeObjectURL(at("photo").src);
    at("photo").hidden = false;
    at("unshown").hidden = true;
    at("photo").src = URL.createObjectURL(photo);
    try {
      const told = await ask("predict", photo);
      if (mine !== current) return;
      tell(told);
      if (explains) {
        const { picture, label } = await ask("explain", photo);
        if (mine !== current) return;
        at("heat").src = picture;
        at("heat").alt = `Where the model finds what speaks for ${label}`;
        at("toggle").hidden = false;
      }
    } catch (error) {
      if (mine !== current) return;
      if (!("what" in error)) throw error;
      at("status").textContent = "";
      refuse(error);
    } finally {
      if (mine === current) drop.classList.remove("busy");
    }
  };

  // --- ways to bring one
  at("file").addEventListener("change", () => {
    const [photo] = at("file").files;
    if (photo) look(photo);
    at("file").value = ""; // so that the same one can be chosen again
  });
  for (const name of ["dragenter", "dragover"]) {
    document.addEventListener(name, (event) => {
      event.preventDefault(); // else the browser would leave for the photo
      drop.classList.add("over");
    });
  }
  for (const name of ["dragleave", "drop"]) {
    document.addEventListener(name, (event) => {
      event.preventDefault();
      drop.classList.remove("over");
    });
  }
  document.addEventListener("drop", (event) => {
    const [photo] = event.dataTransfer.files;
    if (photo) look(photo);
  });
  document.addEventListener("paste", (event) => {
    const [photo] = event.clipboardData.files;
    if (photo) look(photo);
  });
  at("photo").addEventListener("error", () => {
    at("photo").hidden = true;
    at("unshown").hidden = false;
  });
  at("toggle").addEventListener("click", () => heat(at("heat").hidden));
  at("more").addEventListener("click", () => {
    const all = at("more").ariaExpanded !== "true";
    [...at("bars").children].forEach((one, index) => { one.hidden = !all && index >= shownAtFirst; });
    at("more").ariaExpanded = String(all);
    at("more").textContent = all ? "Only the likeliest" : `All ${at("bars").children.length} classes`;
  });
}
