import {
  Composer,
  type CST,
  type Document,
  isNode,
  isScalar,
  Lexer,
  LineCounter,
  Parser,
  visit,
  type YAMLMap,
} from "yaml";
import { MeshError, messageOf } from "./errors.ts";
import { printable } from "./printable.ts";

/** Parsers call themselves once per level. */
const DEPTH_MAX = 64;
/** How often aliases may repeat what an anchor holds, before it is taken for a bomb. */
const ALIASES_MAX = 100;
/** Words and marks. The library takes seconds for a megabyte of them; a block of text, as of a certificate, is one. */
const LEXEMES_MAX = 50_000;

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
  // It would compare each key with each, so that is done below.
  const options = { merge: true, uniqueKeys: false, logLevel: "silent" } as const;
  const documents = [...new Composer(options).compose(tokensOf(text, lines, refuse))];
  for (const document of documents) {
    const wrong = document.errors[0] ?? document.warnings[0];
    if (wrong) throw refuse(`${firstLine(wrong.message)}${FIXES[wrong.code] ?? ""}`, wrong.pos[0]);
    visit(document, { Map: (_, map) => refuseTwins(map, refuse) });
  }
  return documents as Document.Parsed[];
}

/** A key that is there twice says two things. */
function refuseTwins({ items }: YAMLMap, refuse: Refuse): void {
  const keys = new Set<unknown>();
  for (const { key } of items) {
    const name = isScalar(key) ? String(key.value) : key;
    if (keys.has(name))
      throw refuse("Map keys must be unique; keep one of the two", isNode(key) ? key.range?.[0] : undefined);
    keys.add(name);
  }
}

function tokensOf(text: string, lines: LineCounter, refuse: Refuse): readonly CST.Token[] {
  const parser = new Parser(lines.addNewLine);
  const tokens: CST.Token[] = [];
  lines.addNewLine(0);
  let count = 0;
  for (const lexeme of new Lexer().lex(text)) {
    if (++count > LEXEMES_MAX) throw refuse(`it has more than ${LEXEMES_MAX} words and marks, and is not read`);
    tokens.push(...parser.next(lexeme));
    // What is open lies on the stack, the document at its bottom.
    if (parser.stack.length > DEPTH_MAX + 1) throw refuse(`it nests deeper than ${DEPTH_MAX} levels`, parser.offset);
  }
  return [...tokens, ...parser.end()];
}

/** What to do about the mistakes that people make most. */
const FIXES: Readonly<Record<string, string>> = {
  TAB_AS_INDENT: "; indent with spaces",
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
