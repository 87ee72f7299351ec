import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";

const root = join(import.meta.dirname, "..", "..", "..");

/** Lines of a page that a reader is to type, and what is proven of them. */
export interface CommandBlock {
  /** As `docs/certificates.md`. */
  readonly page: string;
  readonly line: number;
  /** Comments and continued lines as they stand there. */
  readonly text: string;
  /** What the last mark before it on the page says; undefined if there is none. */
  readonly mark: Mark | undefined;
}

/**
 * A comment of a page that counts for the blocks after it, up to the next one:
 * `<!-- commands: run -->`, `<!-- commands: run beside the demo -->`, `<!-- commands: not run: needs a cluster -->`.
 * What runs on a page runs in one folder, in its order.
 */
export type Mark = { readonly run: "alone" | "beside the demo" } | { readonly notRun: string };

const MARK = /^<!-- commands: (?:(run)|(run beside the demo)|not run: (\S.*)) -->$/;
/** The first word of what is typed, after variables. */
const TYPED = /^(?:[A-Z_]+=\S* )*(?:causeway|npx|npm|kubectl|helm|istioctl|kind|docker|curl|source)(?![\w:-])/;

export const pages = (): readonly string[] => [
  "README.md",
  ...readdirSync(join(root, "docs"), { recursive: true, encoding: "utf8" })
    .filter((path) => path.endsWith(".md"))
    .map((path) => `docs/${path}`)
    .sort(),
];

export const textOfPage = (page: string): string => readFileSync(join(root, page), "utf8");

/** Blocks of a page: fenced, or indented by four, of which a line begins with a program that readers call. */
export function blocksOf(page: string, text = textOfPage(page)): readonly CommandBlock[] {
  const blocks: CommandBlock[] = [];
  let [mark, open, fenced]: [Mark | undefined, { line: number; lines: string[] } | undefined, boolean] = [
    undefined,
    undefined,
    false,
  ];
  const close = (): void => {
    if (open !== undefined && open.lines.some((line) => TYPED.test(line)))
      blocks.push({ page, line: open.line, text: open.lines.join("\n").trimEnd(), mark });
    open = undefined;
  };
  for (const [at, line] of [...text.split("\n"), ""].entries()) {
    const fence = /^ {0,3}```/.test(line);
    if (fence) {
      close();
      fenced = !fenced;
    } else if (fenced || /^ {4}/.test(line) || (line === "" && open !== undefined))
      (open ??= { line: at + 1, lines: [] }).lines.push(fenced ? line : line.slice(4));
    else close();
    if (!fenced) mark = markOf(line) ?? mark;
  }
  close();
  return blocks;
}

function markOf(line: string): Mark | undefined {
  const [, alone, beside, notRun] = MARK.exec(line) ?? [];
  if (alone !== undefined) return { run: "alone" };
  if (beside !== undefined) return { run: "beside the demo" };
  return notRun === undefined ? undefined : { notRun };
}

/** The lines of a block that are typed, without what they print. */
export function typedLines({ text }: Pick<CommandBlock, "text">): string {
  const lines = text.replace(/\\\n\s*/g, " ").split("\n");
  return lines.filter((line) => TYPED.test(line)).join("\n");
}

/** Each call of our own program in a block: the words after its name. */
export function ownCalls({ text }: Pick<CommandBlock, "text">): readonly (readonly string[])[] {
  const lines = text.replace(/\\\n\s*/g, " ").split("\n");
  return lines.flatMap((line) => {
    const parts = wordsOf(line);
    return parts.flatMap((words) => {
      const at = words[0] === "npx" ? 1 : 0;
      return words[at] === "causeway" ? [words.slice(at + 1)] : [];
    });
  });
}

/** The words of each part of a shell line between pipes and the like; a comment ends it. */
function wordsOf(line: string): readonly (readonly string[])[] {
  const parts: string[][] = [[]];
  for (const [token] of line.matchAll(
    /<[\w .-]+>\S*|"[^"]*"|'[^']*'|[|;&]+|[<>]+\(?|\)|#.*|(?:[^\s|;&<>()"'#]|"[^"]*"|'[^']*'|<[\w .-]+>)+/g,
  )) {
    if (token.startsWith("#")) break;
    if (/^[|;&]+$|^<\($|^\)$/.test(token)) parts.push([]);
    else if (/^[<>]+$/.test(token)) parts.push(["(file)"]);
    else parts.at(-1)!.push(token.replace(/["']/g, ""));
  }
  return parts;
}
