"use strict";
// The page at /: everything it shows comes from /model, /explain, /predict and /predict_batch of the same service.

const $ = (id) => document.getElementById(id);
const CHUNK = 2000; // rows of a file in one request
const OURS = 4; // columns before the file's own in a ranked list
const SHOWN = 10; // reasons, and rows of a ranked file
const share = (p) => (100 * p).toFixed(1) + " %";
let model, key = "", latest = 0;

// A column's name in words: MonthlyCharges, monthly_charges and "Monthly charges" read alike; what is in words stays.
function words(name) {
  if (/[^A-Za-z0-9_]/.test(name)) return name;
  const split = name.replaceAll("_", " ").replace(/([a-z0-9])([A-Z])/g, "$1 $2").trim();
  const lower = split.split(" ").map((word) => (/^[A-Z][a-z]/.test(word) ? word.toLowerCase() : word)).join(" ");
  return lower.charAt(0).toUpperCase() + lower.slice(1);
}

class Refused extends Error {
  constructor(answer) {
    super([answer.error, ...answer.problems.map(describe)].join("\n"));
    Object.assign(this, answer);
  }
}

function describe(problem) {
  const row = problem.row === null ? "" : `row ${problem.row + 1}, `;
  return `${row}${problem.field}: ${problem.reason}, got ${JSON.stringify(problem.value)}; allowed: ${problem.allowed}`;
}

async function call(path, body) {
  const file = body instanceof Blob; // anything else is sent as JSON
  const type = file ? "application/octet-stream" : "application/json";
  const headers = { ...(key && { "X-API-Key": key }), ...(body && { "Content-Type": type }) };
  const answer = await fetch(path, { method: body ? "POST" : "GET", headers, body: file ? body : body && JSON.stringify(body) });
  const content = await answer.json();
  if (!answer.ok) throw new Refused(content);
  return content;
}

function element(tag, properties = {}, ...children) {
  const node = Object.assign(document.createElement(tag), properties);
  node.append(...children);
  return node;
}

function notice(error) {
  $("notice").hidden = !error;
  $("notice").textContent = error ? error.message : "";
  const bad = new Set(error?.problems?.map((problem) => problem.field));
  for (const input of document.querySelectorAll("#customer [name]")) input.setAttribute("aria-invalid", bad.has(input.name));
}

// The form, from the JSON Schema of a customer.

// A field that may be missing is described as any of its values, or null.
const filled = (field) => field.anyOf?.find((option) => option.type !== "null") ?? field;
const isNumber = (field) => ["number", "integer"].includes(filled(field).type);

function range(name) {
  // A slider needs an end: twice the largest value of the examples where the schema has none to speak of.
  const { minimum, maximum } = filled(model.schema.properties[name]);
  const seen = Math.max(1, ...model.examples.map((example) => Math.abs(example[name] ?? 0)));
  return [minimum < -1e9 ? -2 * seen : minimum, Math.min(maximum, 2 * seen)];
}

function field(name, schema) {
  const id = `field-${name}`;
  const label = element("label", { htmlFor: id, textContent: words(name), title: schema.description ?? name });
  const { enum: levels, maxLength, type } = filled(schema);
  if (levels) {
    const options = [...levels, ...(schema.anyOf ? [null] : [])].map((value) => element("option", { value: value ?? "", textContent: value ?? "(missing)" }));
    return element("div", { className: "field" }, label, element("select", { id, name }, ...options));
  }
  if (!isNumber(schema)) {
    return element("div", { className: "field" }, label, element("input", { id, name, maxLength }));
  }
  const step = type === "integer" ? "1" : "any";
  const [min, max] = range(name);
  const exact = element("input", { id, name, type: "number", step });
  const slider = element("input", { type: "range", min, max, step: step === "1" ? 1 : (max - min) / 1000 });
  slider.setAttribute("aria-label", `What if: ${words(name)}`);
  slider.addEventListener("input", () => { exact.value = String(+(+slider.value).toFixed(2)); });
  exact.addEventListener("input", () => { slider.value = exact.value; });
  return element("div", { className: "field" }, label, element("div", { className: "pair" }, exact, slider));
}

function fill(customer) {
  for (const input of document.querySelectorAll("#customer [name]")) {
    input.value = customer[input.name] ?? "";
    if (input.type === "number") input.nextElementSibling.value = input.value;
  }
  explain();
}

function value(text, schema) {
  const trimmed = text.trim();
  if (trimmed === "") return null;
  return isNumber(schema) && isFinite(trimmed) ? Number(trimmed) : text;
}

function customer() {
  const inputs = [...document.querySelectorAll("#customer [name]")];
  return Object.fromEntries(inputs.map((input) => [input.name, value(input.value, model.schema.properties[input.name])]));
}

// The answer. What-if questions go to /explain, which is not logged: the log holds decisions, not play.

async function explain() {
  const mine = ++latest;
  try {
    const answer = await call("explain", customer());
    if (mine !== latest) return; // a newer question is on its way
    notice(null);
    $("recorded").textContent = "";
    const churns = answer.decision;
    $("probability").textContent = share(answer.probability);
    $("gauge").setAttribute("aria-valuenow", answer.probability.toFixed(3));
    $("gauge").className = $("decision").className = churns ? "churn" : "";
    $("gauge").firstElementChild.style.width = share(answer.probability).replace(" ", "");
    $("decision").textContent = answer.expected_value === null
      ? (churns ? "Likely to leave" : "Likely to stay")
      : (churns ? "Worth contacting" : "Not worth contacting");
    $("gauge").lastElementChild.style.left = share(answer.threshold).replace(" ", "");
    $("threshold").textContent = `From ${share(answer.threshold)} (the mark) `
      + (answer.expected_value === null ? "a customer counts as leaving." : "contacting this customer pays.");
    $("base").textContent = share(answer.base_value);
    const largest = Math.max(...answer.reasons.map((reason) => Math.abs(reason.contribution)), 1e-9);
    $("reasons").tBodies[0].replaceChildren(...answer.reasons.slice(0, SHOWN).map((reason) => reasonRow(reason, largest)));
  } catch (error) {
    if (mine === latest) notice(error);
  }
}

function reasonRow(reason, largest) {
  const up = reason.contribution >= 0;
  const bar = element("span", { className: up ? "up" : "down" });
  bar.style.width = `${(50 * Math.abs(reason.contribution)) / largest}%`;
  const points = `${up ? "+" : "−"}${(100 * Math.abs(reason.contribution)).toFixed(1)}`;
  return element("tr", {},
    element("td", { textContent: words(reason.field) }),
    element("td", { textContent: reason.value ?? "(missing)" }),
    element("td", { className: "number", textContent: points }),
    element("td", {}, element("div", { className: "bar", ariaHidden: "true" }, bar)));
}

async function predict() {
  try {
    const answer = await call("predict", customer());
    notice(null);
    const worth = answer.expected_value === null ? "" : `, expected profit of a contact ${answer.expected_value.toFixed(2)}`;
    $("recorded").textContent = `Recorded as ${answer.prediction_id}${worth}.`;
  } catch (error) {
    notice(error);
  }
}

// A file, read by the service as training reads it; a ranked CSV comes out.

const quoted = (cell) => (/[",\r\n]/.test(cell) ? `"${cell.replaceAll('"', '""')}"` : cell);

// A spreadsheet would compute text that begins like this; a column of numbers is none (as churn.files.formulas).
const FORMULA = /^[=+\-@\t\r\n]/, NUMBER = /^([+-]?\d[\d.,]*(e[+-]?\d+)?|[+-]?[.,]\d+)?$/i;
const inert = (text) => (FORMULA.test(text) ? `'${text}` : text);

async function rank(file) {
  $("download").hidden = $("ranked").hidden = true;
  $("notes").replaceChildren();
  $("file-state").textContent = `Reading ${file.name} …`;
  const { header, cells: rows, rows: customers, numbers, notes } = await call("read", file);
  const size = Math.min(CHUNK, model.limits.rows);
  const answers = [];
  for (let i = 0; i < customers.length; i += size) {
    $("file-state").textContent = `${i} of ${customers.length} customers …`;
    try {
      answers.push(...await call("predict_batch", { rows: customers.slice(i, i + size) }));
    } catch (error) {
      error.problems?.forEach((problem) => { if (problem.row !== null) problem.row = numbers[problem.row + i] - 1; });
      throw error.problems ? new Refused(error) : error;
    }
  }
  const ranked = rows.map((row, i) => [row, answers[i]]).sort((a, b) => b[1].probability - a[1].probability);
  const lines = ranked.map(([row, answer], i) => [i + 1, answer.probability, answer.decision, answer.prediction_id, ...row]);
  show(["rank", "probability", "decision", "prediction_id", ...header], lines);
  $("file-state").textContent = `${rows.length} customers, ${answers.filter((answer) => answer.decision).length} `
    + (answers.some((answer) => answer.expected_value !== null) ? "worth contacting." : "likely to leave.")
    + (rows.length > SHOWN ? ` The first ${SHOWN}:` : "");
  $("notes").replaceChildren(...notes.map((textContent) => element("li", { textContent })));
}

function show(header, lines) {
  URL.revokeObjectURL($("download").href);
  const text = header.map((_, i) => i >= OURS && lines.some((line) => !NUMBER.test(line[i])));
  const safe = [header.map(inert), ...lines.map((line) => line.map((cell, i) => (text[i] ? inert(cell) : String(cell))))];
  const csv = safe.map((line) => line.map(quoted).join(",")).join("\r\n") + "\r\n";
  $("download").href = URL.createObjectURL(new Blob([csv], { type: "text/csv" }));
  const cells = (tag, values) => values.map((textContent) => element(tag, { textContent }));
  const shown = (line) => element("tr", {}, ...cells("td", [line[0]]), probabilityCell(line), ...cells("td", line.slice(OURS, 10)));
  const titles = cells("th", ["Rank", "Probability", ...header.slice(OURS, 10).map(words)]);
  titles.forEach((title) => { title.scope = "col"; });
  $("ranked").tHead.replaceChildren(element("tr", {}, ...titles));
  $("ranked").tBodies[0].replaceChildren(...lines.slice(0, SHOWN).map(shown));
  $("download").hidden = $("ranked").hidden = false;
}

function probabilityCell([, probability, churns]) {
  const bar = element("span", { className: churns ? "churn" : "", ariaHidden: "true" });
  bar.style.width = `${Math.max(1, 70 * probability)}%`;
  return element("td", { className: "share" }, element("b", { textContent: share(probability) }), bar);
}

async function start() {
  try {
    model = await call("model");
  } catch (error) {
    $("key").hidden = error.status !== 401;
    $("model").textContent = "";
    return notice(error);
  }
  notice(null);
  $("key").hidden = true;
  $("main").hidden = false;
  $("model").textContent = `${model.dataset.name}, model ${model.model_version} (${words(model.family).toLowerCase()})`;
  $("model").title = `data version ${model.data_version}`;
  $("customer").replaceChildren(...Object.entries(model.schema.properties).map(([name, schema]) => field(name, schema)));
  const explained = await Promise.all(model.examples.map((example) => call("explain", example)));
  const order = explained.map((_, i) => i).sort((a, b) => explained[b].probability - explained[a].probability);
  $("example").replaceChildren(...order.map((i, place) =>
    element("option", { value: i, textContent: `Customer ${place + 1} (${share(explained[i].probability)})` })));
  fill(model.examples[order[0]]);
}

$("example").addEventListener("change", (event) => fill(model.examples[event.target.value]));
$("customer").addEventListener("input", explain);
$("customer").addEventListener("submit", (event) => event.preventDefault());
$("predict").addEventListener("click", predict);
$("file").addEventListener("change", (event) => rank(event.target.files[0]).then(() => notice(null), (error) => {
  $("file-state").textContent = "";
  notice(error);
}));
$("key").addEventListener("submit", (event) => { event.preventDefault(); key = $("key-text").value; start(); });
start();
