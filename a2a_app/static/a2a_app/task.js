// The page of a task follows the task: text is appended as it comes, and for all else the page is
// fetched again and what differs is changed in place. It works without this file too, standing still.
"use strict";
(() => {
  const root = document.getElementById("a2a-task");
  if (!root) return;
  // How many milliseconds after a change of state, and after mere text, the page is fetched again.
  const AFTER_CHANGE = 200, AFTER_TEXT = 4000, AFTER_FAILURE = 3000;
  // How many characters of an artifact that grows stay on the page.
  const MOST = 100000;
  let texts = [], timer = 0, due = Infinity, isFetching = false, source = null;

  function append([seq, artifact, text]) {
    for (const node of root.querySelectorAll("[data-artifact]")) {
      if (node.dataset.artifact !== artifact || Number(node.dataset.seq) >= seq) continue;
      node.textContent = (node.textContent + text).slice(-MOST);
      node.dataset.seq = seq;
    }
  }

  function refreshIn(milliseconds) {
    const moment = Date.now() + milliseconds;
    if (moment >= due) return;
    clearTimeout(timer);
    due = moment;
    timer = setTimeout(refresh, milliseconds);
  }

  async function refresh() {
    due = Infinity;
    if (document.hidden) return;
    if (isFetching) return refreshIn(AFTER_CHANGE);
    isFetching = true;
    texts = [];
    try {
      const answer = await fetch(location.href);
      const page = new DOMParser().parseFromString(await answer.text(), "text/html");
      const fresh = page.getElementById("a2a-task");
      if (!fresh) return answer.status < 500 ? stop() : refreshIn(AFTER_FAILURE);
      a2aMorph(root, document.adoptNode(fresh));
      texts.forEach(append);  // what came meanwhile
      if (source === null) follow();
    } catch {
      refreshIn(AFTER_FAILURE);
    } finally {
      isFetching = false;
    }
  }

  function follow() {
    if (document.hidden) return;
    if (root.dataset.poll) return refreshIn(Number(root.dataset.poll));
    if (!root.dataset.live) return;
    source = new EventSource(`${root.dataset.live}?after=${root.dataset.seq}`);
    source.onmessage = (message) => {
      const said = JSON.parse(message.data);
      texts.push(...said.texts);
      said.texts.forEach(append);
      refreshIn(said.changed ? AFTER_CHANGE : AFTER_TEXT);
    };
    // Not at once: a server that has no room for one more stream ends each as it begins.
    const again = () => { source.close(); source = null; refreshIn(AFTER_FAILURE); };
    source.addEventListener("end", again);
    source.onerror = () => { if (source.readyState === EventSource.CLOSED) again(); };
  }

  // A browser has six connections to a server of HTTP/1.1, for all of its tabs. Those that nobody
  // looks at have none, or the seventh would wait for ever.
  document.addEventListener("visibilitychange", () => {
    const goesOn = root.dataset.poll || root.dataset.live;
    if (!document.hidden) return goesOn && source === null && refreshIn(0);
    if (source) source.close();
    source = null;
  });

  // Whoever reads the page may not any more, or the task is gone.
  function stop() {
    if (source) source.close();
    document.getElementById("a2a-stopped").hidden = false;
  }

  document.addEventListener("click", async (event) => {
    const link = event.target.closest("a[data-json]");
    if (!link || event.ctrlKey || event.metaKey || event.shiftKey) return;
    event.preventDefault();
    const dialog = document.getElementById("a2a-json");
    const answer = await fetch(link.href);
    dialog.querySelector("pre").textContent = await answer.text();
    dialog.querySelector("a").href = link.href;
    dialog.showModal();
  });
  follow();
})();
