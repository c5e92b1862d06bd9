// Changes an element in place until it is like another one, so that what is open, has the focus or was
// scrolled stays so. For the scripts of the pages, which are loaded after this one.
"use strict";
function a2aMorph(old, fresh) {
  if (old.isEqualNode(fresh)) return;
  if (old.nodeName !== fresh.nodeName || old.id !== fresh.id) return old.replaceWith(fresh);
  if (old.nodeType !== Node.ELEMENT_NODE) { old.nodeValue = fresh.nodeValue; return; }
  for (const { name } of [...old.attributes])
    if (name !== "open" && !fresh.hasAttribute(name)) old.removeAttribute(name);
  for (const { name, value } of fresh.attributes) if (name !== "open") old.setAttribute(name, value);
  const before = [...old.childNodes], after = [...fresh.childNodes];
  after.forEach((child, place) => place < before.length ? a2aMorph(before[place], child) : old.append(child));
  before.slice(after.length).forEach((child) => child.remove());
}
