import { Composer, type CST, type Document, isNode, Lexer, LineCounter, Parser } from "yaml";
import { MeshError, messageOf } from "./errors.ts";
import { printable } from "./printable.ts";

/** Parsers call themselves once per level. */
const DEPTH_MAX = 64;
/** How often aliases may repeat what an anchor holds, before it is taken for a bomb. */
const ALIASES_MAX = 100;

export interface YamlDocument {
  /** Null if the document is empty. */
  readonly value: unknown;
  /** Counts from 1; undefined if nothing of its own is there, as behind an alias. */
  lineOf(path: readonly (string | number)[]): number | undefined;
}

/**
 * Reads a text that must be one document of plain YAML (or JSON): no tags, no bombs, nothing said twice. Contract
 * operations.md 4.4 no. 22.
 * @param what begins each error, as `kubeconfig`.
 * @throws MeshError `invalid`, with the line.
 */
export function parseYamlDocument(text: string, what: string, bytesMax: number): YamlDocument {
  const lines = new LineCounter();
  const refuse = (why: string, at?: number): MeshError =>
    new MeshError("invalid", `${what}${at === undefined ? "" : `, line ${lines.linePos(at).line || 1}`}: ${why}`);
  if (text.length > bytesMax || Buffer.byteLength(text) > bytesMax)
    throw refuse(`it is longer than ${bytesMax} bytes, and is not read`);
  if (text.startsWith("\uFEFF")) throw refuse("it begins with a byte order mark; save it as UTF-8 without one", 0);
  const [document, second] = documentsOf(text, lines, refuse);
  if (second !== undefined) throw refuse("a second document begins; keep one of them", second.range[0]);
  return { value: valueOf(document, refuse), lineOf: (path) => lineOf(document, lines, path) };
}

type Refuse = (why: string, at?: number) => MeshError;

function documentsOf(text: string, lines: LineCounter, refuse: Refuse): Document.Parsed[] {
  const documents = [...new Composer({ merge: true, logLevel: "silent" }).compose(tokensOf(text, lines, refuse))];
  for (const { errors, warnings } of documents) {
    const wrong = errors[0] ?? warnings[0];
    if (wrong) throw refuse(`${firstLine(wrong.message)}${FIXES[wrong.code] ?? ""}`, wrong.pos[0]);
  }
  return documents as Document.Parsed[];
}

function tokensOf(text: string, lines: LineCounter, refuse: Refuse): readonly CST.Token[] {
  const parser = new Parser(lines.addNewLine);
  const tokens: CST.Token[] = [];
  lines.addNewLine(0);
  for (const lexeme of new Lexer().lex(text)) {
    tokens.push(...parser.next(lexeme));
    // What is open lies on the stack, the document at its bottom.
    if (parser.stack.length > DEPTH_MAX + 1) throw refuse(`it nests deeper than ${DEPTH_MAX} levels`, parser.offset);
  }
  return [...tokens, ...parser.end()];
}

/** What to do about the mistakes that people make most. */
const FIXES: Readonly<Record<string, string>> = {
  TAB_AS_INDENT: "; indent with spaces",
  DUPLICATE_KEY: "; keep one of the two",
  TAG_RESOLVE_FAILED: "; only plain YAML is read, remove the tag",
  BLOCK_AS_IMPLICIT_KEY: "; quote a value that holds ': '",
};

const firstLine = (message: string): string => printable(message.split("\n", 1)[0]!, 200);

function valueOf(document: Document.Parsed | undefined, refuse: Refuse): unknown {
  try {
    return document?.toJS({ maxAliasCount: ALIASES_MAX }) ?? null;
  } catch (thrown) {
    throw refuse(`its aliases cannot be followed: ${firstLine(messageOf(thrown))}`);
  }
}

function lineOf(
  document: Document.Parsed | undefined,
  lines: LineCounter,
  path: readonly (string | number)[],
): number | undefined {
  const node = document?.getIn(path, true);
  return isNode(node) && node.range ? lines.linePos(node.range[0]).line : undefined;
}
