// The official JavaScript SDK's client, told to do what clients do; run by Node where it is
// installed. Usage: node client.mjs SPEECH URL TRANSPORT, where SPEECH is 1.0 or 0.3.
// It prints what it saw, as one JSON object; the states are in the words of 1.0.
import { randomUUID } from "node:crypto";
import { argv, stdout } from "node:process";
import * as types from "@a2a-js/sdk";
import * as sdk from "@a2a-js/sdk/client";

const [speech, url, transport] = argv.slice(2);
const NOBODYS = "00000000-0000-7000-8000-000000000000";

// How each version of the SDK writes a message, and where it keeps what has come.
const speeches = {
  "1.0": {
    said: (text, more) => ({
      tenant: "",
      message: {
        messageId: randomUUID(), contextId: "", taskId: "", role: 1, extensions: [],
        parts: [{ content: { $case: "text", value: text }, filename: "", mediaType: "" }],
        referenceTaskIds: [], ...more,
      },
      configuration: { acceptedOutputModes: [], returnImmediately: false },
    }),
    at_once: { returnImmediately: true },
    opened: (event) => event.payload.value,
    chunk: (part) => part.content.value,
    state: (status) => types.TaskState[status.state].replace("TASK_STATE_", ""),
  },
  "0.3": {
    said: (text, more) => ({
      message: {
        kind: "message", messageId: randomUUID(), role: "user",
        parts: [{ kind: "text", text }], ...more,
      },
      configuration: { blocking: true },
    }),
    at_once: { blocking: false },
    opened: (event) => event,
    chunk: (part) => part.text,
    state: (status) => status.state.toUpperCase().replace("-", "_"),
  },
}[speech];

const factory = new sdk.ClientFactory(
  sdk.ClientFactoryOptions.createFrom(sdk.ClientFactoryOptions.default, {
    transports: [new sdk.JsonRpcTransportFactory(), new sdk.RestTransportFactory()],
    preferredTransports: [transport],
  }),
);

// A client whose bodies are made into others on their way.
const broken = (agent, change) => {
  const how = {
    fetchImpl: (place, init = {}) =>
      fetch(place, init.body ? { ...init, body: change(init.body) } : init),
  };
  return new sdk.ClientFactory(
    sdk.ClientFactoryOptions.createFrom(sdk.ClientFactoryOptions.default, {
      transports: [new sdk.JsonRpcTransportFactory(how), new sdk.RestTransportFactory(how)],
      preferredTransports: [transport],
    }),
  ).createFromUrl(`${url}/a2a/${agent}/`);
};

const connected = (agent) => factory.createFromUrl(`${url}/a2a/${agent}/`);
// The text of a chunk begins with its number and a time; that of several is joined once they are all.
const CHUNK = /(\d+) \d+\.\d{6} /g;
const numbers = (artifacts) =>
  artifacts
    .flatMap((each) => each.parts.flatMap((part) => [...speeches.chunk(part).matchAll(CHUNK)]))
    .map((found) => parseInt(found[1]));

async function sent(client) {
  const task = await client.sendMessage(speeches.said(JSON.stringify({ chunks: 3 })));
  const found = await client.getTask({ tenant: "", id: task.id });
  return { state: speeches.state(found.status), chunks: numbers(found.artifacts) };
}

async function streamed(client) {
  const seen = { states: [], chunks: [] };
  const asked = speeches.said(JSON.stringify({ chunks: 3 }));
  for await (const event of client.sendMessageStream(asked)) {
    const { status, artifact } = speeches.opened(event);
    if (status) seen.states.push(speeches.state(status));
    if (artifact) seen.chunks.push(...numbers([artifact]));
  }
  return seen;
}

// As the specification has it: what is not appended replaces what came before.
async function yielded(client) {
  let text = "";
  for await (const event of client.sendMessageStream(speeches.said("Lisbon is lovely"))) {
    const { artifact, append } = speeches.opened(event);
    if (artifact) text = (append ? text : "") + artifact.parts.map(speeches.chunk).join("");
  }
  return text;
}

async function resubscribed(client) {
  const asked = speeches.said(JSON.stringify({ end: "hang" }));
  Object.assign(asked.configuration, speeches.at_once);
  const task = await client.sendMessage(asked);
  const states = [];
  for await (const event of client.resubscribeTask({ tenant: "", id: task.id })) {
    const { status } = speeches.opened(event);
    if (states.length === 0) await client.cancelTask({ tenant: "", id: task.id });
    if (status) states.push(speeches.state(status));
  }
  return states.at(-1);
}

async function conversed(client) {
  const states = [];
  let more = {};
  for (const text of ["Plan a trip", "Lisbon", "2"]) {
    const task = await client.sendMessage(speeches.said(text, more));
    states.push(speeches.state(task.status));
    more = { taskId: task.id, contextId: task.contextId };
  }
  return states;
}

async function refused(client) {
  try {
    await client.getTask({ tenant: "", id: NOBODYS });
  } catch (error) {
    return error.constructor.name;
  }
}

// What an agent may refuse in 0.3. The transports are asked, since the client above them refuses some
// of it by itself, by what the card says.
async function errors() {
  const agents = await Promise.all(["load", "travel-desk", "mistaken"].map(connected));
  const [load, desk, mistaken] = agents.map((each) => each.transport);
  const { transport: cut } = await broken("load", () => "{");
  const { transport: older } = await broken("load", (body) => body.replace('"2.0"', '"1.0"'));
  const said = speeches.said;
  const { id } = await load.sendMessage(said(JSON.stringify({ chunks: 1 })));
  const picture = { kind: "file", file: { bytes: "AAAA", mimeType: "image/png" } };
  const webhook = { url: "https://example.com/told" };
  const asked = {
    "a task that is nobody's": () => load.getTask({ id: NOBODYS }),
    "a cancel of nobody's task": () => load.cancelTask({ id: NOBODYS }),
    "a message to nobody's task": () => load.sendMessage(said("hi", { taskId: NOBODYS })),
    "a webhook of nobody's task": () =>
      load.getTaskPushNotificationConfig({ id: NOBODYS, pushNotificationConfigId: "one" }),
    "a stream of nobody's task": () => load.resubscribeTask({ id: NOBODYS }).next(),
    "a cancel of what has ended": () => load.cancelTask({ id }),
    "a webhook where none is called": () =>
      mistaken.setTaskPushNotificationConfig({ taskId: id, pushNotificationConfig: webhook }),
    "a message to what has ended": () => load.sendMessage(said("more", { taskId: id })),
    "a stream to what has ended": () => load.sendMessageStream(said("more", { taskId: id })).next(),
    "a picture for a reader": () => desk.sendMessage(said("", { parts: [picture] })),
    "an answer that is none": () => mistaken.sendMessage(said("hi")),
    "a card that there is not": () => load.getExtendedAgentCard(),
    "a body that is cut off": () => cut.sendMessage(said("hi")),
    "an agent that breaks": () => mistaken.sendMessage(said("break")),
    "a message without an id": () => load.sendMessage(said("hi", { messageId: "" })),
  };
  if (transport === "JSONRPC") {
    asked["a method that there is not"] = () => load.callExtensionMethod("tasks/none", {});
    asked["another version of JSON-RPC"] = () => older.sendMessage(said("hi"));
  }
  const seen = {};
  for (const [what, ask] of Object.entries(asked)) {
    try {
      seen[what] = ["no error", "", await ask()];
    } catch (raised) {
      const error = raised.cause ?? raised;
      const { code, message } = error.errorResponse?.error ?? { message: error.message };
      seen[what] = [error.constructor.name.replace(/(JSONRPC)?Error$/, ""), code, message];
    }
  }
  return seen;
}

const client = await connected("load");
stdout.write(
  JSON.stringify({
    spoken: client.transport?.constructor.name,
    sent: await sent(client),
    streamed: await streamed(client),
    yielded: await yielded(await connected("echo")),
    resubscribed: await resubscribed(client),
    conversed: await conversed(await connected("travel-desk")),
    refused: await refused(client),
    errors: speech === "0.3" ? await errors() : {},
  }),
);
