import { element, setShown, setText } from "./element.ts";
import type { Mark } from "./state.ts";

/** What is in one cell: a mark, a text that may lead somewhere, and a note below it. */
export interface Cell {
  readonly mark?: Mark;
  readonly text?: string;
  /** Within this page or beside it; never what others wrote without being encoded. */
  readonly href?: string;
  readonly note?: string;
  readonly number?: boolean;
}

export interface Row {
  /** Unique in its table. */
  readonly key: string;
  readonly cells: readonly Cell[];
  readonly selected?: boolean;
}

/** Its name, and how wide it is at most: what has no width shares what is left. */
export interface Column {
  readonly name: string;
  readonly width?: "xs" | "s" | "m" | "l";
}

/** Where a table is; `empty` is what it says while it has no row. */
export interface TablePlace {
  readonly body: HTMLElement;
  readonly empty: HTMLElement;
  readonly columns: readonly Column[];
}

/** A table made once, with its headers; rows are patched in. */
export function tablePlace(
  host: HTMLElement,
  caption: string,
  columns: readonly Column[],
  nothing: string,
): TablePlace {
  const body = element("tbody", { attributes: { role: "rowgroup" } });
  const cells = columns.map(({ name, width }) =>
    element("th", {
      ...(width !== undefined && { class: `w-${width}` }),
      ...{ text: name, attributes: { scope: "col", role: "columnheader" } },
    }),
  );
  const row = element("tr", { attributes: { role: "row" } }, ...cells);
  const head = element("thead", { attributes: { role: "rowgroup" } }, row);
  // Narrow windows show rows as cards, and a table that is laid out otherwise would lose its roles.
  const table = element("table", { attributes: { role: "table" } }, element("caption", { text: caption }), head, body);
  const empty = element("p", { class: "empty", text: nothing });
  host.append(table, empty);
  return { body, empty, columns };
}

/** Makes the rows those that are given. Rows and texts that stay are not touched: focus, selection and scroll stay, too. */
export function patchRows({ body, empty, columns }: TablePlace, rows: readonly Row[]): void {
  setShown(body.parentElement!, rows.length > 0);
  setShown(empty, rows.length === 0);
  const known = new Map<string, HTMLElement>();
  for (const row of body.children) if (row instanceof HTMLElement) known.set(row.dataset["key"] ?? "", row);
  let after: Element | null = null;
  for (const row of rows) {
    const place = known.get(row.key) ?? newRow(row.key, columns);
    known.delete(row.key);
    patchRow(place, row);
    const next: Element | null = after === null ? body.firstElementChild : after.nextElementSibling;
    if (next !== place) body.insertBefore(place, next);
    after = place;
  }
  for (const gone of known.values()) gone.remove();
}

function newRow(key: string, columns: readonly Column[]): HTMLElement {
  const row = element("tr", { attributes: { role: "row" } });
  row.dataset["key"] = key;
  columns.forEach(({ name }, at) => {
    const cell =
      at === 0
        ? element("th", { attributes: { scope: "row", role: "rowheader" } })
        : element("td", { attributes: { role: "cell" } });
    cell.dataset["label"] = name;
    row.append(cell);
  });
  return row;
}

function patchRow(place: HTMLElement, { cells, selected }: Row): void {
  place.classList.toggle("selected", selected === true);
  cells.forEach((cell, at) => {
    const host = place.children[at];
    if (host instanceof HTMLElement) patchCell(host, cell);
  });
}

function patchCell(host: HTMLElement, { mark, text = "", href, note = "", number }: Cell): void {
  // One key for the shape of a cell: only if that changes is it made anew.
  const shape = `${mark === undefined ? "" : "mark"} ${href === undefined ? "" : "link"} ${note === "" ? "" : "note"}`;
  if (host.dataset["shape"] !== shape) {
    host.dataset["shape"] = shape;
    host.classList.toggle("number", number === true);
    host.replaceChildren(
      // A space for those who hear or copy it.
      ...(mark === undefined ? [] : [element("span", { class: "mark" }), " "]),
      href === undefined ? element("span", { class: "text" }) : element("a", { class: "text" }),
      ...(note === "" ? [] : [element("span", { class: "note" })]),
    );
  }
  for (const part of host.children) if (part instanceof HTMLElement) patchPart(part, { mark, text, href, note });
}

function patchPart(
  part: HTMLElement,
  cell: { mark: Mark | undefined; text: string; href: string | undefined; note: string },
): void {
  if (part.className === "note") return setText(part, cell.note);
  if (part.classList.contains("mark")) return cell.mark === undefined ? undefined : patchMark(part, cell.mark);
  setText(part, cell.text);
  if (cell.href !== undefined && part.getAttribute("href") !== cell.href) part.setAttribute("href", cell.href);
}

/** A glyph for the eye, and the word for everybody. */
export function patchMark(host: HTMLElement, { glyph, word, tone }: Mark): void {
  const name = `mark ${tone}`;
  if (host.className !== name) host.className = name;
  if (host.childElementCount !== 2)
    host.replaceChildren(
      element("span", { class: "glyph", attributes: { "aria-hidden": "true" } }),
      " ",
      element("span"),
    );
  const [shown, said] = host.children;
  if (shown instanceof HTMLElement) setText(shown, glyph);
  if (said instanceof HTMLElement) setText(said, word);
}
