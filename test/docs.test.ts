import assert from "node:assert/strict";
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { dirname, join, normalize } from "node:path";
import { test } from "mocha";
import { CaMetrics } from "../src/ca/ca-metrics.ts";
import { calledCommands } from "../src/commands/called.ts";
import { referencePage } from "../src/commands/reference.ts";
import { debugPages } from "../src/commands/debug-pages.ts";
import { CONFIG_FLAGS } from "../src/config.ts";
import type { Metrics } from "../src/host.ts";
import { LOG_SCOPES } from "../src/log-levels.ts";
import { viewedMesh } from "./commands/served-mesh.ts";
import { blocksOf, ownCalls, pages, textOfPage } from "./kits/docs-pages.ts";
import { idleEntry, refusal } from "./kits/idle-commands.ts";

const root = join(import.meta.dirname, "..", "..");
const read = (...path: string[]): string => readFileSync(join(root, ...path), "utf8");
const missing = (page: string, words: readonly string[]): readonly string[] => {
  const text = read("docs", page);
  assert.ok(words.length > 0);
  return words.filter((word) => !text.includes(`\`${word}`));
};

const sources = readdirSync(join(root, "src"), { recursive: true, encoding: "utf8" }).filter((path) =>
  path.endsWith(".ts"),
);

test("operations.md names every metric that there is", () => {
  const literal = sources.flatMap((path) =>
    [...read("src", path).matchAll(/metrics\s*\.(?:counter|gauge|histogram|sampled)\(\s*"([a-z_]+)"/g)].map(
      ([, name]) => name!,
    ),
  );
  const made: string[] = [];
  const note = (name: string) => (
    made.push(name),
    { add: () => {}, set: () => {}, remove: () => {}, observe: () => {} }
  );
  new CaMetrics({ counter: note, gauge: note, histogram: note } satisfies Metrics);
  assert.ok(literal.length > 10 && made.length > 5);
  assert.deepEqual(missing("operations.md", [...literal, ...made]), []);
});

test("operations.md names every log scope and every debug page", () => {
  assert.deepEqual(missing("operations.md", Object.keys(LOG_SCOPES)), []);
  const pages = debugPages(viewedMesh([])).map(({ name }) => name);
  assert.deepEqual(missing("operations.md", pages), []);
});

test("cli.md names every setting and every command", () => {
  const flags = CONFIG_FLAGS.map(({ flags }) => /--[\w-]+/.exec(flags)![0]);
  assert.deepEqual(missing("cli.md", flags), []);
  const text = read("docs", "cli.md");
  for (const command of [
    "workloads",
    "services",
    "policies",
    "explain",
    "proxy-status",
    "remote-clusters",
    "create-remote-secret",
    "spire status",
    "trust status",
    "check trust",
    "ca init",
    "version",
  ])
    assert.match(text, new RegExp(`causeway .*\\b${command}\\b`));
});

/** Of kubectl and helm, in what a check says to paste. */
const OTHERS: ReadonlySet<string> = new Set(["--from-file", "--kube-context", "--create-namespace", "--reuse-values"]);

test("no sentence sends anybody to a flag that there is not", () => {
  // Envoy's flags are its own.
  const own = sources.filter((path) => !/envoy-process|pod-template/.test(path));
  const named = own.flatMap((path) => read("src", path).match(/--[a-z]+(?:-[a-z]+)+/g) ?? []);
  assert.ok(named.length > 50);
  const text = read("docs", "cli.md");
  const unknown = new Set(
    named.filter((flag) => !OTHERS.has(flag)).filter((flag) => !new RegExp(`${flag}(?![a-z-])`).test(text)),
  );
  assert.deepEqual([...unknown], []);
});

test("every command of ours on a page is one that there is, with flags and values that it takes", async () => {
  const commands = (await calledCommands([], 1)).map(idleEntry);
  const wrong: string[] = [];
  let calls = 0;
  for (const block of pages().flatMap((page) => blocksOf(page)))
    for (const words of ownCalls(block)) {
      calls++;
      // An ellipsis on a page stands for flags that it has told before.
      const said = words.includes("…") ? "" : await refusal(commands, words);
      if (said !== "") wrong.push(`${block.page}:${block.line}: causeway ${words.join(" ")}: ${said}`);
    }
  assert.ok(calls > 40, `only ${calls} calls were found`);
  assert.deepEqual(wrong, []);
});

test("reference.md is what the code makes of its commands: npm run reference", async () => {
  assert.equal(read("docs", "reference.md"), referencePage(await calledCommands([], 1)));
});

test("every block of commands on a page is run by a test, or the page says why it is not", () => {
  const blocks = pages().flatMap((page) => blocksOf(page));
  const unmarked = blocks.filter(({ mark }) => mark === undefined).map(({ page, line }) => `${page}:${line}`);
  assert.deepEqual(unmarked, [], "mark them as test/kits/docs-pages.ts says");
  assert.ok(blocks.filter(({ mark }) => mark !== undefined && "run" in mark).length > 5);
});

test("blocks are read with their marks, comments, pipes and continued lines", () => {
  const page = [
    "<!-- commands: run -->",
    "Text.",
    "",
    "    causeway ca init --dir 'a b' # why",
    "    causeway ca status \\",
    "      --dir root | grep x && npx causeway version",
    "",
    "<!-- commands: not run: needs a cluster -->",
    "```sh",
    "kubectl get pods",
    "```",
    "    no command",
  ].join("\n");
  const [first, second, ...more] = blocksOf("x.md", page);
  assert.deepEqual(more, []);
  assert.deepEqual([first!.mark, second!.mark], [{ run: "alone" }, { notRun: "needs a cluster" }]);
  assert.deepEqual(ownCalls(first!), [["ca", "init", "--dir", "a b"], ["ca", "status", "--dir", "root"], ["version"]]);
});

/** As GitHub makes them of headings. */
const anchorOf = (heading: string): string =>
  heading
    .replace(/`|\*|\[([^\]]*)\]\([^)]*\)/g, "$1")
    .trim()
    .toLowerCase()
    .replace(/[^\p{L}\p{N} _-]/gu, "")
    .replace(/ /g, "-");

/** Where a page can be linked to; of headings that are alike the second ends in -1. */
function anchorsOf(page: string): ReadonlySet<string> {
  const seen = new Map<string, number>();
  const headings = [...textOfPage(page).matchAll(/^#+ (.*)$/gm)].map(([, heading]) => anchorOf(heading!));
  return new Set(
    headings.map((anchor) => {
      const before = seen.get(anchor) ?? 0;
      seen.set(anchor, before + 1);
      return before === 0 ? anchor : `${anchor}-${before}`;
    }),
  );
}

test("every link on a page leads to a page, and to a heading of it, that there is", () => {
  const broken: string[] = [];
  let links = 0;
  for (const page of pages())
    for (const [, target] of textOfPage(page).matchAll(/\]\(([^)\s]+)\)/g)) {
      if (/^https?:/.test(target!)) continue;
      links++;
      const [path = "", anchor] = target!.split("#");
      const to = path === "" ? page : normalize(join(dirname(page), path));
      if (!existsSync(join(root, to))) broken.push(`${page}: ${target}: no such file`);
      else if (anchor !== undefined && to.endsWith(".md") && !anchorsOf(to).has(anchor))
        broken.push(`${page}: ${target}: no such heading`);
    }
  assert.ok(links > 100, `only ${links} links were found`);
  assert.deepEqual(broken, []);
});

test("each reason for which a link to a peer is not there has its line on the page of its condition", () => {
  const source = read("src", "registry", "model", "peer.ts");
  const reasons = [
    ...source
      .slice(source.indexOf("type PeerReason"))
      .split(";", 1)[0]!
      .matchAll(/"(\w+)"/g),
  ];
  assert.ok(reasons.length > 10);
  const text = ["peer-connected", "peering-succeeded"].map((page) => read("docs", "conditions", `${page}.md`)).join("");
  assert.deepEqual(
    reasons.map(([, reason]) => reason!).filter((reason) => !text.includes(`\`${reason}\``)),
    [],
  );
});

test("each condition that we write has a page", () => {
  const written = sources
    .filter((path) => /^registry\/(wanted|gateways)\//.test(path))
    .flatMap((path) => [
      ...read("src", path).matchAll(
        /(?:type: |WAYPOINT_\w+ = |verdict\()["`](?:istio\.io\/|\$\{prefix\})?([A-Z][A-Za-z]+)["`]/g,
      ),
    ])
    .map(([, type]) => type!)
    .filter((type) => !/^(RollingUpdate|Directory|RuntimeDefault|Hostname|IPAddress|Resource|Pods)$/.test(type));
  const index = read("docs", "conditions", "README.md");
  assert.ok(new Set(written).size > 5, [...new Set(written)].join());
  assert.deepEqual(
    [...new Set(written)].filter((type) => !new RegExp(`\\[(istio.io/)?${type}\\]`).test(index)),
    [],
  );
});

test("limits.md has the numbers that the code has", () => {
  const rows = [...read("docs", "limits.md").matchAll(/^\| (\d+)( KiB| MiB)? \|.*\| `(src\/[^`]+)` `(\w+)` \|$/gm)];
  assert.ok(rows.length > 12, `only ${rows.length} rows were read`);
  const wrong = rows.flatMap(([, amount, unit, path, name]) => {
    const said = Number(amount) * ({ " KiB": 1024, " MiB": 1024 * 1024 }[unit ?? ""] ?? 1);
    const [, product] = new RegExp(`\\b${name}(?:: | = )([0-9_* ]+)`).exec(read(path!)) ?? [];
    const real = (product ?? "").split("*").reduce((value, factor) => value * Number(factor.replace(/_/g, "")), 1);
    return real === said ? [] : [`${name} of ${path} is ${product ?? "not there"}, and the page says ${said}`];
  });
  assert.deepEqual(wrong, []);
});
