"use strict";
// The page at /docs: the OpenAPI document, readable, with every request ready to be sent.

const pretty = (value) => JSON.stringify(value, null, 2);

function element(tag, properties = {}, ...children) {
  const node = Object.assign(document.createElement(tag), properties);
  node.append(...children);
  return node;
}

function resolve(api, schema) {
  return schema?.$ref ? api.components.schemas[schema.$ref.split("/").at(-1)] : schema;
}

function curl(method, path, type, body) {
  const send = type ? ` -H 'Content-Type: ${type}' --data-binary '${body.replaceAll("'", "'\\''")}'` : "";
  return `curl${method === "post" ? send : ""} ${new URL(path.slice(1), location.href)}`;
}

function operation(api, path, method, described) {
  const [type, media] = Object.entries(described.requestBody?.content ?? {})[0] ?? [];
  const bodies = (media?.schema.anyOf ?? [media?.schema]).map((schema) => resolve(api, schema));
  const [takes] = bodies;
  const example = media?.example ?? pretty(takes?.examples[0]);
  const body = element("textarea", { value: example ?? "", ariaLabel: `Body of ${path}` });
  const answer = element("pre", { ariaLive: "polite" });
  const send = element("button", { type: "button", textContent: "Send" });
  send.addEventListener("click", async () => {
    const key = document.getElementById("key").value;
    const headers = { ...(type && { "Content-Type": type }), ...(key && { "X-API-Key": key }) };
    const response = await fetch(path.slice(1), { method: method.toUpperCase(), headers, body: takes && body.value });
    const text = await response.text();
    const json = response.headers.get("Content-Type").includes("json");
    answer.textContent = `${response.status}\n${json ? pretty(JSON.parse(text)) : text}`;
  });
  const answers = Object.entries(described.responses).map(([status, { description, content }]) => {
    const schema = Object.values(content)[0].schema;
    return element("details", {}, element("summary", { textContent: `${status} ${description}` }),
      element("pre", { textContent: pretty(resolve(api, schema)) }));
  });
  return element("details", {},
    element("summary", {}, element("strong", { textContent: `${method.toUpperCase()} ${path}` }), ` ${described.summary}`),
    element("pre", { textContent: curl(method, path, type, media?.example ?? JSON.stringify(takes?.examples[0])) }),
    ...(takes ? [body, element("details", {}, element("summary", { textContent: "Schema of the body" }),
      ...bodies.map((schema) => element("pre", { textContent: pretty(schema) })))] : []),
    element("p", {}, send), answer, element("h3", { textContent: "Answers" }), ...answers);
}

async function start() {
  const api = await (await fetch("docs.json")).json();
  document.getElementById("model").textContent = `${api.info.title}, model ${api.info.version}`;
  const parts = Object.entries(api.paths).flatMap(([path, methods]) =>
    Object.entries(methods).map(([method, described]) => operation(api, path, method, described)));
  document.getElementById("paths").replaceChildren(element("section", {}, ...parts));
}

start();
