// A chat says what is typed by A2A itself, shows the answer as it comes, and lists on the console's page
// what goes over the wire. What was said is always the server's HTML; only growing text is appended here.
// Without this file the form is sent, and the page is loaded again.
"use strict";
(() => {
  // How many milliseconds after a change, and after a failure, the chat is read again; and where the server cannot stream.
  const AFTER_CHANGE = 150, AFTER_FAILURE = 3000, POLL = 2000;
  // How many requests and events are listed, and how many characters of each; and how long an artifact grows.
  const ENTRIES = 300, CHARACTERS = 20000, MOST = 100000;
  const wire = document.querySelector("[data-wire]");
  const needsKey = wire && "key" in wire.dataset;
  if (wire) wire.closest("[hidden]").hidden = false;

  const quoted = (text) => `'${text.replaceAll("'", `'\\''`)}'`;
  const spelt = (text) => JSON.stringify(text);

  function asCurl(url, headers, body) {
    const given = Object.entries(headers).map(([name, value]) => `  -H ${quoted(`${name}: ${value}`)} \\\n`);
    if (needsKey) given.push(`  -H "Authorization: Bearer $TOKEN" \\\n`);
    return `curl -N ${quoted(url)} \\\n${given.join("")}  -d ${quoted(body)}\n`;
  }

  function asPython(url, headers, body) {
    const given = Object.entries(headers).map(([name, value]) => `    ${spelt(name)}: ${spelt(value)},\n`);
    if (needsKey) given.push(`    "Authorization": "Bearer " + os.environ["TOKEN"],\n`);
    return `${needsKey ? "import os\n\n" : ""}import httpx\n\nheaders = {\n${given.join("")}}\n` +
      `body = ${spelt(body)}\nwith httpx.stream("POST", ${spelt(url)}, headers=headers, content=body, timeout=None) as response:\n` +
      `    for line in response.iter_lines():\n        print(line)\n`;
  }

  async function show(code) {
    const dialog = document.getElementById("a2a-code");
    dialog.querySelector("pre").textContent = code;
    dialog.querySelector("[role=status]").hidden = true;
    dialog.showModal();
    try {
      await navigator.clipboard.writeText(code);
      dialog.querySelector("[role=status]").hidden = false;
    } catch { /* The browser does not allow it here, and the code can be selected. */ }
  }

  function list(arrow, title, text, codes) {
    if (!wire) return;
    const entry = document.createElement("li"), fold = document.createElement("details");
    const summary = document.createElement("summary"), pre = document.createElement("pre");
    summary.textContent = `${arrow} ${title}`;
    pre.textContent = text.slice(0, CHARACTERS);
    pre.tabIndex = 0;
    fold.className = "a2a-fold";
    fold.append(summary, pre);
    for (const [name, code] of Object.entries(codes || {})) {
      const button = document.createElement("button");
      button.type = "button";
      button.textContent = name;
      button.addEventListener("click", () => show(code));
      fold.append(button, " ");
    }
    entry.append(fold);
    wire.prepend(entry);
    while (wire.children.length > ENTRIES) wire.lastChild.remove();
  }

  function base64(file) {
    return new Promise((resolve, reject) => {
      const reader = new FileReader();
      reader.onload = () => resolve(reader.result.slice(reader.result.indexOf(",") + 1));
      reader.onerror = () => reject(reader.error);
      reader.readAsDataURL(file);
    });
  }

  class Chat {
    constructor(root) {
      this.root = root;
      this.said = root.querySelector("[data-said]");
      this.form = root.querySelector("[data-say]");
      this.error = root.querySelector("[data-error]");
      this.texts = [];
      this.timer = 0;
      this.number = 0;
      this.streams = 0;
      this.follow();
      // A server that cannot stream gets the form itself.
      if (!root.dataset.script) return;
      this.form.addEventListener("submit", (event) => { event.preventDefault(); this.say(); });
      // As in other chats; a new line is Shift and Enter.
      this.form.elements.text.addEventListener("keydown", (event) => {
        if (event.key !== "Enter" || event.shiftKey || event.isComposing) return;
        event.preventDefault();
        this.form.requestSubmit();
      });
      root.addEventListener("submit", (event) => {
        const task = event.target.dataset.cancel;
        if (!task) return;
        event.preventDefault();
        this.call("CancelTask", { id: task }).finally(() => this.refreshIn(0));
      });
    }

    fail(text) {
      this.error.textContent = text;
      this.error.hidden = !text;
    }

    async parts() {
      const { text, data, file } = this.form.elements, parts = [];
      if (text.value.trim()) parts.push({ text: text.value });
      if (data.value.trim()) parts.push({ data: JSON.parse(data.value) });
      for (const each of file.files)
        parts.push({ raw: await base64(each), filename: each.name, mediaType: each.type || "application/octet-stream" });
      return parts;
    }

    async say() {
      const button = this.form.querySelector("button");
      // Enter sends too, and may be pressed again before the message has arrived.
      if (button.disabled) return;
      button.disabled = true;
      this.fail("");
      try {
        const parts = await this.parts();
        // The fields are emptied once the message has arrived, and not if it was refused.
        if (await this.send(parts, () => { this.form.reset(); this.form.elements.text.value = ""; button.disabled = false; })) return;
      } catch (error) {
        this.fail(`JSON: ${error.message}`);
      }
      button.disabled = false;
    }

    send(parts, onFirst) {
      const message = { messageId: Array.from(crypto.getRandomValues(new Uint32Array(4)), (n) => n.toString(16).padStart(8, "0")).join(""), role: "ROLE_USER", parts };
      const { context, task } = this.said.dataset;
      if (context) message.contextId = context;
      if (task) message.taskId = task;
      return this.call("SendStreamingMessage", { message }, {}, onFirst);
    }

    // Follow a task that goes on without us, such as after a reload.
    follow() {
      const { live, seq } = this.said.dataset;
      if (!live || this.streams) return;
      if (!this.root.dataset.script) return this.refreshIn(POLL);
      this.call("SubscribeToTask", { id: live }, { "Last-Event-ID": seq });
    }

    // Returns whether the server answered with something else than an error.
    async call(method, params, more = {}, onFirst = () => {}) {
      const { script, agent, csrf, extensions, failed } = this.root.dataset;
      const body = JSON.stringify({ jsonrpc: "2.0", id: ++this.number, method, params });
      const headers = { "Content-Type": "application/json", "A2A-Version": "1.0", ...more };
      if (extensions) headers["A2A-Extensions"] = extensions;
      list("→", method, JSON.stringify(JSON.parse(body), null, 2),
        wire && { [wire.dataset.curl]: asCurl(agent, headers, body), [wire.dataset.python]: asPython(agent, headers, body) });
      const streams = method !== "CancelTask";
      if (streams) this.streams += 1;
      // Nobody has asked for it, and it may be refused because the task has just ended. The chat shows that.
      const isQuiet = method === "SubscribeToTask";
      let isAnswered = false;
      try {
        const token = this.form.elements.csrfmiddlewaretoken.value;
        const answer = await fetch(script, { method: "POST", body, headers: { ...headers, [csrf]: token } });
        const type = answer.headers.get("Content-Type") || "";
        if (type.includes("event-stream")) {
          for await (const [number, data] of this.events(answer)) {
            if (!this.take(number, data, isQuiet)) continue;
            // Once only: what is typed meanwhile must stay.
            if (!isAnswered) onFirst();
            isAnswered = true;
          }
        } else if (type.includes("json")) {
          isAnswered = this.take("", await answer.text(), isQuiet);
          if (isAnswered) onFirst();
        } else if (!isQuiet) {
          this.fail(failed);
        }
      } catch {
        // What has arrived need not be sent again: the task is followed.
        if (!isQuiet && !isAnswered) this.fail(failed);
      } finally {
        if (streams) this.streams -= 1;
      }
      this.refreshIn(isAnswered ? 0 : AFTER_FAILURE);
      return isAnswered;
    }

    async * events(answer) {
      const reader = answer.body.pipeThrough(new TextDecoderStream()).getReader();
      let rest = "", number = "";
      for (;;) {
        const { done, value } = await reader.read();
        if (done) return;
        const lines = (rest + value).split("\n");
        rest = lines.pop();
        for (const line of lines) {
          if (line.startsWith("id: ")) number = line.slice(4);
          else if (line.startsWith("data: ")) yield [number, line.slice(6)];
        }
      }
    }

    // Takes what came; returns whether it is no error.
    take(number, data, isQuiet) {
      const { result, error } = JSON.parse(data);
      list("←", error ? `error ${error.code}` : `${Object.keys(result)[0]} ${number}`, JSON.stringify(JSON.parse(data), null, 2));
      if (error) {
        if (!isQuiet) this.fail(error.message);
        return false;
      }
      const update = result.artifactUpdate;
      if (update && update.append && !update.lastChunk) {
        const text = update.artifact.parts.map((part) => part.text || "").join("\n");
        this.texts.push([Number(number), update.artifact.artifactId, text]);
        this.append(this.texts.at(-1));
        return true;
      }
      const said = result.task || result.message || result.statusUpdate || update;
      if (said && said.contextId) this.enter(said.contextId);
      this.refreshIn(AFTER_CHANGE);
      return true;
    }

    enter(context) {
      if (this.said.dataset.context === context) return;
      this.said.dataset.context = context;
      if ("namesUrl" in this.root.dataset) history.replaceState(null, "", this.url());
    }

    url() {
      const { context } = this.said.dataset;
      return this.root.dataset.page + (context ? `?context=${encodeURIComponent(context)}` : "");
    }

    append([seq, artifact, text]) {
      for (const node of this.said.querySelectorAll("[data-artifact]")) {
        if (node.dataset.artifact !== artifact || Number(node.dataset.seq) >= seq) continue;
        node.textContent = (node.textContent + text).slice(-MOST);
        node.dataset.seq = seq;
      }
    }

    refreshIn(milliseconds) {
      clearTimeout(this.timer);
      this.timer = setTimeout(() => this.refresh(), milliseconds);
    }

    async refresh() {
      if (!this.said.dataset.context) return;
      if (this.refreshing) return this.refreshIn(AFTER_CHANGE);
      this.refreshing = true;
      this.texts = [];
      try {
        const answer = await fetch(this.url());
        const page = new DOMParser().parseFromString(await answer.text(), "text/html");
        const fresh = page.querySelector("[data-said]");
        if (!fresh) return answer.status < 500 ? this.fail(this.root.dataset.failed) : this.refreshIn(AFTER_FAILURE);
        a2aMorph(this.said, document.adoptNode(fresh));
        this.texts.forEach((each) => this.append(each));  // what came meanwhile
        for (const name of ["context", "task"]) this.form.elements[name].value = this.said.dataset[name];
        this.follow();
      } catch {
        this.refreshIn(AFTER_FAILURE);
      } finally {
        this.refreshing = false;
      }
    }
  }

  document.addEventListener("click", (event) => {
    const link = event.target.closest("a[data-example]");
    const text = document.querySelector("[data-say] textarea[name=text]");
    if (!link || !text || event.ctrlKey || event.metaKey || event.shiftKey) return;
    event.preventDefault();
    text.value = link.dataset.example;
    text.focus();
  });
  for (const root of document.querySelectorAll("[data-chat]")) new Chat(root);
})();
