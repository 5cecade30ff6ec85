// The page: reads the document and writes it out. Texts are set as text, never as markup.

import { resolve, resultOf, rowsOf } from "./schema.js";

const said = document.querySelector("#said");

function make(name, properties = {}, ...children) {
  const element = Object.assign(document.createElement(name), properties);
  element.append(...children);
  return element;
}

/** Write a text whose `words` between backquotes are code. */
function prose(text) {
  return (text ?? "").split("`").map((part, index) => (index % 2 ? make("code", {}, part) : part));
}

function table(heads, rows) {
  return make(
    "div",
    { className: "table", tabIndex: 0 },
    make(
      "table",
      {},
      make("thead", {}, make("tr", {}, ...heads.map((head) => make("th", { scope: "col" }, head)))),
      make("tbody", {}, ...rows.map((cells) => make("tr", {}, ...cells.map((cell) => make("td", {}, ...[cell].flat()))))),
    ),
  );
}

/** Write the fields of an object; `always` is what to call those that are never left out. */
function fields(api, schema, always) {
  const rows = rowsOf(api, schema);
  if (!rows.length) return make("p", { className: "nothing" }, "Nothing.");
  return table(
    ["Field", "Type", "Meaning"],
    rows.map((row) => [
      [make("code", {}, row.path), ...(row.isRequired ? [" ", make("span", { className: always }, always)] : [])],
      row.type,
      prose(row.text),
    ]),
  );
}

/** Write the call as a shell takes it: JSON holds no single quote unless a text has one. */
function curl(path, request) {
  const body = JSON.stringify(request, null, 2).replaceAll("'", "'\\''");
  return `curl ${location.origin}${path} \\\n  -H 'X-API-Key: '"$HELIOGRAPH_KEY" \\\n  -d '${body}'`;
}

function code(title, text, isCopied) {
  const head = make("div", { className: "head" }, make("h4", {}, title));
  if (isCopied) {
    const button = make("button", { type: "button" }, "Copy");
    button.setAttribute("aria-label", `Copy: ${title}`);
    button.addEventListener("click", () => copy(text, button));
    head.append(button);
  }
  return make("div", { className: "code" }, head, make("pre", { tabIndex: 0 }, make("code", {}, text)));
}

async function copy(text, button) {
  try {
    await navigator.clipboard.writeText(text);
    button.textContent = said.textContent = "Copied";
  } catch {
    button.textContent = said.textContent = "Select and copy it yourself: the browser refused";
  }
  setTimeout(() => (button.textContent = "Copy"), 1600);
}

function method(api, path, operation) {
  const request = operation.requestBody.content["application/json"];
  const answer = operation.responses["200"].content["application/json"];
  const article = make(
    "article",
    { id: operation.operationId },
    make(
      "div",
      { className: "words" },
      make(
        "h3",
        {},
        make("a", { href: `#${operation.operationId}` }, make("span", { className: "verb" }, "POST"), " ", path),
      ),
      make("p", { className: "summary" }, ...prose(operation.summary)),
      ...(operation.description ? [make("p", {}, ...prose(operation.description))] : []),
      make("h4", {}, "Request"),
      make("p", { className: "note" }, ...prose(resolve(api, request.schema).description)),
      fields(api, request.schema, "required"),
      make("h4", {}, "Result"),
      make("p", { className: "note" }, ...prose(resolve(api, resultOf(api, answer.schema)).description)),
      fields(api, resultOf(api, answer.schema), "always"),
    ),
    make("div", { className: "samples" }, ...samples(path, request, answer)),
  );
  article.dataset.words = `${operation.operationId} ${operation.operationId.replaceAll("_", " ")}`;
  return article;
}

// A call and its answer: of one example, or of several by what they show.
function samples(path, request, answer) {
  const answers = answer.examples ?? { Call: { value: answer.example } };
  return Object.entries(request.examples ?? { Call: { value: request.example } }).flatMap(([title, { value }]) => [
    code(title, curl(path, value), true),
    code("Answer", JSON.stringify(answers[title].value, null, 2), false),
  ]);
}

function introduce(api) {
  document.querySelector("#version").textContent = api.info.version;
  document.querySelector("#introduction").replaceChildren(...prose(api.info.description));
  const places = { header: "the header", query: "the query parameter" };
  document.querySelector("#keys").append(
    ...Object.values(api.components.securitySchemes).map((scheme) =>
      make("li", {}, `In ${places[scheme.in]} `, make("code", {}, scheme.name), ". ", ...prose(scheme.description)),
    ),
  );
  const codes = api.components.schemas.ApiError.properties.code.oneOf;
  document.querySelector("#errors").append(
    table(
      ["Code", "Message", "What to do"],
      codes.map((each) => [make("code", {}, each.const), each.title, prose(each.description)]),
    ),
  );
}

function list(api) {
  const contents = document.querySelector("#contents");
  const content = document.querySelector("#content");
  for (const { name } of api.tags) {
    const found = Object.entries(api.paths).filter(([, item]) => item.post.tags.includes(name));
    const section = make("section", { className: "group" }, make("h2", {}, name));
    const links = make("ul");
    for (const [path, { post }] of found) {
      section.append(method(api, path, post));
      links.append(make("li", {}, make("a", { href: `#${post.operationId}` }, post.operationId)));
    }
    content.append(section);
    contents.append(make("div", { className: "group" }, make("h2", {}, name), links));
  }
}

function search(text) {
  const wanted = text.trim().toLowerCase();
  let shown = 0;
  for (const article of document.querySelectorAll("article")) {
    article.hidden = !article.dataset.words.includes(wanted);
    document.querySelector(`#contents a[href="#${article.id}"]`).parentElement.hidden = article.hidden;
    shown += article.hidden ? 0 : 1;
  }
  for (const group of document.querySelectorAll("main .group")) group.hidden = !group.querySelector("article:not([hidden])");
  for (const group of document.querySelectorAll("nav .group")) group.hidden = !group.querySelector("li:not([hidden])");
  document.querySelector("#start").hidden = wanted !== "";
  document.querySelector("#none").hidden = shown > 0;
}

/** Mark the link of the method that is being read. */
function follow() {
  const seen = new IntersectionObserver(
    (entries) => {
      for (const entry of entries.filter((each) => each.isIntersecting)) {
        document.querySelector('nav a[aria-current="true"]')?.removeAttribute("aria-current");
        document.querySelector(`nav a[href="#${entry.target.id}"]`).setAttribute("aria-current", "true");
      }
    },
    { rootMargin: "-20% 0px -70% 0px" },
  );
  for (const article of document.querySelectorAll("article")) seen.observe(article);
}

try {
  const answer = await fetch("openapi.json");
  if (!answer.ok) throw new Error(`HTTP ${answer.status}`);
  const api = await answer.json();
  introduce(api);
  list(api);
  follow();
  const input = document.querySelector("#search");
  input.addEventListener("input", () => search(input.value));
  document.body.dataset.state = "ready";
  document.getElementById(location.hash.slice(1))?.scrollIntoView();
} catch (error) {
  document.body.dataset.state = "failed";
  document.querySelector("#introduction").textContent = `The description could not be read: ${error.message}`;
}
