import { Composer, isMap, isSeq, Lexer, LineCounter, Parser, type CST, type Document } from "yaml";
import { messageOf } from "../../errors.ts";
import type { KubeObject } from "../../kube/object.ts";
import { type Fields, isFields } from "./fields.ts";
import { readObject, Unreadable } from "./manifest-object.ts";

/** What one file says. Lines count from 1. */
export interface Manifest {
  readonly objects: readonly ManifestObject[];
  readonly faults: readonly ManifestFault[];
  /** What each part between two `---` said, so that the next edit parses only the parts that it changed. */
  readonly parts: ReadonlyMap<string, Part>;
}

export interface ManifestObject {
  readonly object: KubeObject;
  readonly line: number;
}

export interface ManifestFault {
  readonly line: number;
  /** As `Service shop/cart`; empty if the text could not be read that far. */
  readonly object: string;
  readonly field: string;
  /** What is wrong and what would be right, without a full stop. */
  readonly reason: string;
}

type Part = Pick<Manifest, "objects" | "faults">;

/** Deeper than any object of Kubernetes; the parser below calls itself once per level, and so needs a bound. */
const DEPTH_MAX = 100;
/** How often aliases may repeat what an anchor holds, before it is taken for a bomb. */
const ALIASES_MAX = 100;

/**
 * Parses YAML or JSON: many documents, and lists of objects. An object that `previous` has in the same words is the
 * same object again, which is how the rest of the embedded cluster knows that nothing about it changed.
 */
export function parseManifest(text: string, previous?: Manifest): Manifest {
  const objects: ManifestObject[] = [];
  const faults: ManifestFault[] = [];
  const parts = new Map<string, Part>();
  for (const { text: partText, line } of split(text)) {
    const part = previous?.parts.get(partText) ?? parts.get(partText) ?? parsePart(partText);
    parts.set(partText, part);
    for (const object of part.objects) objects.push({ ...object, line: object.line + line });
    for (const fault of part.faults) faults.push({ ...fault, line: fault.line + line });
  }
  return { objects, faults, parts };
}

/** Cuts at `---` in the first column, which YAML allows nowhere inside a document; directives stay with theirs. */
function split(text: string): { text: string; line: number }[] {
  const parts: { text: string; line: number }[] = [];
  let rest = "";
  let line = 0;
  let next = 0;
  for (const piece of text.split(/^(?=---(?:[ \t\r\n]|$))/m)) {
    rest += piece;
    next += piece.split("\n").length - 1;
    if (/^%/m.test(rest) && /^(?:\s*(?:[%#].*)?(?:\n|$))*$/.test(rest)) continue;
    parts.push({ text: rest, line });
    rest = "";
    line = next;
  }
  if (rest !== "") parts.push({ text: rest, line });
  return parts;
}

function parsePart(text: string): Part {
  const objects: ManifestObject[] = [];
  const faults: ManifestFault[] = [];
  const lines = new LineCounter();
  const fault = (at: number, reason: string, object = "", field = ""): void => {
    faults.push({ line: lines.linePos(at).line || 1, object, field, reason });
  };
  try {
    const tokens = tokensOf(text, lines);
    if (!tokens) {
      fault(0, `it nests deeper than ${DEPTH_MAX} levels; no object of Kubernetes does`);
      return { objects, faults };
    }
    for (const document of new Composer({ merge: true, logLevel: "silent" }).compose(tokens)) {
      const wrong = document.errors[0] ?? document.warnings[0];
      if (wrong) fault(wrong.pos[0], `${firstLine(wrong.message)}${FIXES[wrong.code] ?? ""}`);
      else readDocument(document, (at, object) => objects.push({ object, line: lines.linePos(at).line }), fault);
    }
  } catch (error) {
    fault(0, firstLine(messageOf(error)));
  }
  return { objects, faults };
}

/** What to do about the mistakes that people make most. */
const FIXES: Readonly<Record<string, string>> = {
  TAB_AS_INDENT: "; indent with spaces",
  DUPLICATE_KEY: "; keep one of the two",
  TAG_RESOLVE_FAILED: "; only plain YAML is read, remove the tag",
  BLOCK_AS_IMPLICIT_KEY: "; quote a value that holds ': '",
};

const firstLine = (message: string): string => message.split("\n", 1)[0]!;

type Found = (at: number, object: KubeObject) => void;
type Fail = (at: number, reason: string, object?: string, field?: string) => void;

function readDocument(document: Document, found: Found, fail: Fail): void {
  const contents = document.contents;
  const at = contents?.range?.[0] ?? 0;
  const value: unknown = document.toJS({ maxAliasCount: ALIASES_MAX });
  // Between two `---` there may be nothing, or only a comment.
  if (value === null) return;
  readValue(value, contents, at, found, fail);
}

/** Lists of lists, too, as whoever joins outputs of kubectl makes them; how deep is bounded by the parser. */
function readValue(value: unknown, contents: unknown, at: number, found: Found, fail: Fail): void {
  if (!isFields(value) || !isList(value)) return readOne(value, at, found, fail);
  const nodes = isMap(contents) ? contents.get("items", true) : undefined;
  for (const [index, item] of value.items.entries()) {
    const node = isSeq(nodes) ? nodes.items[index] : undefined;
    const itemAt = isMap(node) ? (node.range?.[0] ?? at) : at;
    // The items of a typed list, as PodList, may leave out what the list already says.
    const defaults = value.kind === "List" ? {} : { apiVersion: value["apiVersion"], kind: value.kind.slice(0, -4) };
    readValue(isFields(item) ? { ...defaults, ...item } : item, node, itemAt, found, fail);
  }
}

function isList(value: Fields): value is Fields & { kind: string; items: unknown[] } {
  return typeof value["kind"] === "string" && value["kind"].endsWith("List") && Array.isArray(value["items"]);
}

function readOne(value: unknown, at: number, found: Found, fail: Fail): void {
  try {
    found(at, readObject(value));
  } catch (error) {
    if (!(error instanceof Unreadable)) throw error;
    fail(at, error.message, error.object, error.field);
  }
}

/** Undefined as soon as it nests too deep: the time that the parser takes grows with the square of the depth. */
function tokensOf(text: string, lines: LineCounter): readonly CST.Token[] | undefined {
  const parser = new Parser(lines.addNewLine);
  const tokens: CST.Token[] = [];
  lines.addNewLine(0);
  for (const lexeme of new Lexer().lex(text)) {
    tokens.push(...parser.next(lexeme));
    // The document is at the bottom, and every node that is not closed lies on the one that holds it.
    if (parser.stack.length > DEPTH_MAX + 1) return undefined;
  }
  return [...tokens, ...parser.end()];
}
