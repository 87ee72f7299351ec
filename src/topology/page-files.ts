import { readFileSync } from "node:fs";
import { join } from "node:path";
import { MeshError } from "../errors.ts";

/** One file of the page, with what it is sent with. */
export interface PageFile {
  readonly contentType: string;
  readonly body: string;
  readonly headers: Readonly<Record<string, string>>;
}

/** Where the build puts what runs in browsers. */
const FOLDER = join(import.meta.dirname, "page");

const HTML = "text/html; charset=utf-8";
const SCRIPT = "text/javascript; charset=utf-8";
const STYLE = "text/css; charset=utf-8";

/** Modules, each asked for by its own name. */
const SCRIPTS = [
  ...[
    "main",
    "service",
    "browser",
    "details",
    "drain-rows",
    "element",
    "explanation-parts",
    "feed",
    "freshness-line",
    "graph",
  ],
  ...["graph-layout", "mesh-page", "mesh-rows", "rows", "state", "times"],
] as const;

/** By the path that they are asked for at; nothing else of the machine can be read here. */
const FILES: ReadonlyMap<string, readonly [file: string, contentType: string]> = new Map<
  string,
  readonly [string, string]
>([
  ["/topology", ["topology.html", HTML]],
  ["/topology/service", ["service.html", HTML]],
  ["/topology/topology.css", ["topology.css", STYLE]],
  ["/topology/icon.svg", ["icon.svg", "image/svg+xml"]],
  ...SCRIPTS.map((name) => [`/topology/${name}.js`, [`${name}.js`, SCRIPT]] as const),
]);

/**
 * Only our own files and our own pages of data count, no script and no style of a page's text runs, no text is ever read as
 * HTML, and no other page shows this one in a frame.
 */
const POLICY = [
  "default-src 'none'",
  ...["script-src 'self'", "style-src 'self'", "img-src 'self'", "connect-src 'self'", "form-action 'self'"],
  ...["base-uri 'none'", "frame-ancestors 'none'", "require-trusted-types-for 'script'", "trusted-types 'none'"],
].join("; ");

const HEADERS = {
  "content-security-policy": POLICY,
  "referrer-policy": "no-referrer",
  "cross-origin-opener-policy": "same-origin",
  "cross-origin-resource-policy": "same-origin",
} as const;

const read = new Map<string, PageFile>();

/** @throws MeshError `absent` if there is no such file. */
export function pageFile(path: string): PageFile {
  const found = FILES.get(path);
  if (found === undefined)
    throw new MeshError("absent", "there is nothing here; /topology shows the mesh, and /topology/service one service");
  const known = read.get(path) ?? load(...found);
  read.set(path, known);
  return known;
}

const load = (file: string, contentType: string): PageFile => ({
  contentType,
  body: readFileSync(join(FOLDER, file), "utf8"),
  headers: HEADERS,
});
