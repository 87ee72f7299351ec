import assert from "node:assert/strict";
import { readdirSync, readFileSync } from "node:fs";
import { dirname, join, relative, sep } from "node:path";
import { test } from "mocha";

const root = join(import.meta.dirname, "..", "..", "src");
const files = readdirSync(root, { recursive: true, encoding: "utf8" })
  .filter((path) => path.endsWith(".ts"))
  .map((path) => path.split(sep).join("/"));
const textOf = new Map(files.map((path) => [path, readFileSync(join(root, path), "utf8")]));
const codeOf = (path: string) => textOf.get(path)!.replace(/\/\*[\s\S]*?\*\/|^\s*\/\/.*$/gm, "");

/** Who may import whom. A layer also may import itself, and every layer may import `base`. */
const layers: readonly { name: string; at: RegExp; mayImport: readonly string[] }[] = [
  { name: "collection", at: /^registry\/collection\//, mayImport: [] },
  { name: "model", at: /^registry\/model\//, mayImport: [] },
  // API servers: how they are asked, listed, watched and written to. It knows no object's meaning.
  { name: "kube", at: /^kube\//, mayImport: [] },
  { name: "registry", at: /^registry\//, mayImport: ["collection", "model", "kube"] },
  // Length-prefixed messages over HTTP/2, which xds and ca both serve (ARCHITECTURE.md, "Why our own gRPC server").
  { name: "grpc", at: /^grpc\//, mayImport: [] },
  { name: "xds", at: /^xds\//, mayImport: ["collection", "model", "grpc"] },
  { name: "ca", at: /^ca\//, mayImport: ["collection", "grpc"] },
  { name: "spire", at: /^spire\//, mayImport: ["collection", "ca"] },
  // The process beside a gateway's Envoy: a client of the CA or of SPIRE's agent, and a server of secrets to that Envoy alone.
  { name: "gateway", at: /^gateway\//, mayImport: ["grpc", "xds", "ca", "spire"] },
  { name: "peering", at: /^peering\//, mayImport: ["collection", "model", "xds"] },
  // Between a cluster and the trust manager: what both say, and each one's half of it.
  { name: "relay", at: /^relay\//, mayImport: ["grpc", "ca"] },
  // The trust manager: policies to orders. It has no part in a control plane, and runs beside one.
  {
    name: "manager",
    at: /^manager\//,
    mayImport: ["collection", "model", "kube", "registry", "grpc", "ca", "relay"],
  },
  // Why a name has no endpoints: of what the registry keeps and what links and grants say, with no I/O of its own.
  { name: "explain", at: /^explain\//, mayImport: ["collection", "model", "kube", "registry", "peering"] },
  // Clusters as their operators see them: facts gathered from outside, and what is to be said of them.
  {
    name: "inspect",
    at: /^inspect\//,
    mayImport: ["collection", "model", "kube", "registry", "ca", "peering", "explain"],
  },
  // Gateways by which clusters are joined: made, held against what is there, applied and taken back.
  // Whether two clusters believe each other is for the authority's own rules to say, so it reads ca.
  // What would come of a link is what links and their explanations say of it, so it reads peering and explain as well.
  {
    name: "linking",
    at: /^linking\//,
    mayImport: ["model", "kube", "registry", "ca", "peering", "explain", "inspect"],
  },
  // The page of the mesh that the admin port serves.
  {
    name: "topology",
    at: /^topology\//,
    mayImport: ["collection", "model", "kube", "registry", "ca", "peering", "explain"],
  },
  // One change, from an API server's event to the last acknowledgement, for a collector of traces.
  { name: "trace", at: /^trace\//, mayImport: ["collection", "model"] },
  {
    name: "root",
    at: /^(main|control-plane|admin|cli)\.ts$|^(commands|demo|plane)\//,
    mayImport: [
      "collection",
      "model",
      "kube",
      "registry",
      "grpc",
      "xds",
      "ca",
      "gateway",
      "spire",
      "relay",
      "manager",
      "peering",
      "explain",
      "inspect",
      "linking",
      "topology",
      "trace",
    ],
  },
  { name: "base", at: /^[^/]+\.ts$/, mayImport: [] },
];
const layerOf = (path: string) => layers.find((layer) => layer.at.test(path))!;

/** Generated codecs, only for those who turn messages into values. */
const mayImportCodecs =
  /^(xds\/(wire|dial)|xds\/types\/[\w-]+|xds\/envoy\/[\w-]+|ca\/(service|client)|gateway\/secrets|spire\/(?:server|agent)-(?:api|messages)|demo\/spire\/[\w-]+|peering\/dial|relay\/wire)\.ts$/;

const onlyThroughHost: readonly [RegExp, string][] = [
  [/\bDate\.now\(|new Date\(\)|performance\.now\(/, "host.clock"],
  [/\bset(Timeout|Interval|Immediate)\(/, "host.clock.after"],
  [/\bMath\.random\(|randomUUID\(|randomBytes\(/, "host.random"],
  [/\bconsole\.|process\.(env|exit|stdout|stderr|argv|hrtime)/, "host.log, a Printer, or main.ts"],
];
/** The machine itself, or the browser, where there is no Host. */
const isHost = (path: string) => /^(main|system-host|system-random|topology\/page\/browser)\.ts$/.test(path);

const importsOf = (path: string): string[] =>
  [...textOf.get(path)!.matchAll(/(?:^|\n)\s*(?:import|export)\b[^;]*?from\s+"([^"]+)"|\bimport\("([^"]+)"\)/g)].map(
    (match) => match[1] ?? match[2]!,
  );
const localOf = (path: string, imports: readonly string[]): string[] =>
  imports
    .filter((name) => name.startsWith("."))
    .map((name) =>
      relative(root, join(root, dirname(path), name))
        .split(sep)
        .join("/"),
    );
const localImportsOf = (path: string): string[] => localOf(path, importsOf(path));
/** Those that are there once the module is: neither types, nor what is imported when it is needed. */
const loadedImportsOf = (path: string): string[] =>
  localOf(
    path,
    Array.from(
      textOf.get(path)!.matchAll(/(?:^|\n)(?:import|export)\b(?! type\b)[^;]*?from\s+"([^"]+)"/g),
      ([, name]) => name!,
    ),
  );

test("each folder imports only what lies before it", () => {
  const wrong = files.flatMap((path) =>
    localImportsOf(path)
      .filter((to) => {
        if (to.startsWith("../proto/gen/")) return !mayImportCodecs.test(path);
        const [from, into] = [layerOf(path), layerOf(to)];
        return from !== into && into.name !== "base" && !from.mayImport.includes(into.name);
      })
      .map((to) => `${path} must not import ${to}`),
  );
  assert.deepEqual(wrong, []);
});

test("no import cycles", () => {
  const state = new Map<string, "open" | "done">();
  const cycles: string[] = [];
  const visit = (path: string, trail: readonly string[]): void => {
    if (state.get(path) === "done" || !textOf.has(path)) return;
    if (state.get(path) === "open") {
      cycles.push([...trail.slice(trail.indexOf(path)), path].join(" -> "));
      return;
    }
    state.set(path, "open");
    for (const to of localImportsOf(path)) visit(to, [...trail, path]);
    state.set(path, "done");
  };
  for (const path of files) visit(path, []);
  assert.deepEqual(cycles, []);
});

/** What is loaded with a module: itself, and what it imports for more than types. */
function loadedWith(path: string, loaded: Set<string> = new Set()): ReadonlySet<string> {
  if (loaded.has(path) || !textOf.has(path)) return loaded;
  loaded.add(path);
  for (const to of loadedImportsOf(path)) loadedWith(to, loaded);
  return loaded;
}

test("a gateway's agent, which runs in every pod, loads no part of a control plane", () => {
  const loaded = [...loadedWith("main.ts"), ...loadedWith("commands/gateway.ts")];
  assert.ok(loaded.includes("cli.ts") && loaded.includes("gateway/agent.ts"), loaded.join());
  assert.deepEqual(
    loaded.filter((path) => /^(registry|kube|plane|peering|xds\/(envoy|types))\/|^control-plane/.test(path)),
    [],
  );
});

test("time, chance and the process come through the host", () => {
  const wrong = files
    .filter((path) => !isHost(path))
    .flatMap((path) =>
      onlyThroughHost
        .filter(([pattern]) => pattern.test(codeOf(path)))
        .map(([pattern, instead]) => `${path}: ${pattern.source}; use ${instead}`),
    );
  assert.deepEqual(wrong, []);
});

test("no holes in the types, no promises in comments, no utils, no default exports", () => {
  const banned: readonly [RegExp, string][] = [
    [/(:|<|\bas) any\b|@ts-ignore|@ts-expect-error/, "a hole in the types"],
    [/\bTODO\b|\bFIXME\b|not implemented|placeholder|\bfor now\b/i, "a promise left in the code"],
    [/^export default/m, "a default export"],
  ];
  const wrong = files.flatMap((path) => [
    ...banned.filter(([pattern]) => pattern.test(textOf.get(path)!)).map(([, what]) => `${path}: ${what}`),
    ...(/(^|\/)(utils?|helpers?|index|common|misc)\.ts$/.test(path) ? [`${path}: name the idea`] : []),
    ...(/^[a-z0-9]+(-[a-z0-9]+)*\.ts$/.test(path.split("/").at(-1)!) ? [] : [`${path}: file names are kebab-case`]),
  ]);
  assert.deepEqual(wrong, []);
});

const LINES_PER_FUNCTION_MAX = 70;

/** Functions by the layout that prettier gives them: from a line that opens a body to the closing brace below it. */
function functionLengths(text: string): { line: number; length: number }[] {
  const lines = text.split("\n");
  return lines.flatMap((line, at) => {
    const opens =
      /^(\s*)(?:export |async |static |private |override |get |set |public |readonly )*(?:function\b.*|[#\w]+\(.*\).*|constructor\(.*|(?:const|let) .*=>) ?\{$/;
    const indent = opens.exec(line)?.[1];
    if (indent === undefined || /^\s*(if|for|while|switch|return|catch)\b/.test(line)) return [];
    const end = lines.findIndex((other, index) => index > at && new RegExp(`^${indent}\\}`).test(other));
    return end < 0 ? [] : [{ line: at + 1, length: end - at + 1 }];
  });
}

test(`no function is longer than ${LINES_PER_FUNCTION_MAX} lines`, () => {
  const wrong = files.flatMap((path) =>
    functionLengths(textOf.get(path)!)
      .filter(({ length }) => length > LINES_PER_FUNCTION_MAX)
      .map(({ line, length }) => `${path}:${line} has ${length} lines`),
  );
  assert.deepEqual(wrong, []);
});

test("no file is longer than 350 lines, and the median is under 150", () => {
  const lengths = files.map((path) => ({ path, lines: textOf.get(path)!.split("\n").length }));
  assert.deepEqual(
    lengths.filter(({ lines }) => lines > 350).map(({ path, lines }) => `${path}: ${lines} lines`),
    [],
  );
  const sorted = lengths.map(({ lines }) => lines).sort((a, b) => a - b);
  assert.ok(sorted[sorted.length >> 1]! < 150, `median ${sorted[sorted.length >> 1]}`);
});
