import { createHash } from "node:crypto";
import { mkdir, readdir, readFile, writeFile } from "node:fs/promises";
import { dirname, join, relative, sep } from "node:path";
import { parseAllDocuments, stringify } from "yaml";
import { messageOf } from "../../errors.ts";
import type { Clock } from "../../host.ts";
import { VERSION } from "../../version.ts";
import type { ClusterFacts, KindFacts, PageFacts } from "../cluster-facts.ts";
import { writeFacts } from "../facts-folder.ts";
import type { Redactor } from "../redact/redactor.ts";
import { type Collected, type JudgedReport, judgedJson, judgedText, judgeReport } from "./judged-report.ts";
import type { GatheringOptions, Piece, ReportSource } from "./report-source.ts";

/** Beside the clusters: what was found in them, for machines and for people. */
export const FINDINGS_FILE = "findings.json";
export const SUMMARY_FILE = "SUMMARY.txt";
export const REPORT_SCHEMA = "causeway.dev/bug-report/v1";
/** Of one report, before it is compressed. */
const REPORT_BYTES_MAX = 1024 * 1024 * 1024;

/** What `manifest.json` says of a report: what is in it, what is not, and why. */
export interface ReportManifest extends Collected {
  readonly schema: typeof REPORT_SCHEMA;
  /** How many secrets of each kind were taken out. */
  readonly redacted: Readonly<Record<string, number>>;
  /** False if there were too many secrets to look for all of them wherever else they might be said. */
  readonly redactedEverywhere: boolean;
  readonly files: readonly { readonly path: string; readonly bytes: number; readonly sha256: string }[];
}

export interface CollectingOptions extends GatheringOptions {
  /** Empty. */
  readonly folder: string;
  readonly redactor: Redactor;
  /** Where control planes are, as `istio-system`. */
  readonly systemNamespace: string;
}

/** What a report was made of, and what is to be said of it; undefined if nothing in it could be judged. */
export interface CollectedReport {
  readonly manifest: ReportManifest;
  readonly facts: readonly ClusterFacts[];
  readonly judged: JudgedReport | undefined;
}

/**
 * Writes a report of all sources into `folder`, which is empty. Nothing is written there before it was redacted.
 * @throws what the file system throws, or the signal's reason.
 */
export async function collectReport(
  clock: Clock,
  sources: readonly ReportSource[],
  { folder, redactor, ...options }: CollectingOptions,
): Promise<CollectedReport> {
  const facts = await Promise.all(sources.map((source) => source.facts(options)));
  options.signal.throwIfAborted();
  options.progress("taking out what is secret");
  const redacted = facts.map((each) => redactFacts(each, redactor));
  const folders = await writeFacts(folder, redacted);
  const missing = redacted.flatMap((each, at) => unreadOf(each, folders[at]!));
  const written = new Written(folder, redactor);
  for (const [at, source] of sources.entries())
    for await (const piece of source.pieces(facts[at]!, options)) {
      options.signal.throwIfAborted();
      const why = await written.write(folders[at]!, piece);
      if (why !== undefined) missing.push({ path: `${folders[at]!}/${piece.path}`, why: redactor.text(why) });
    }
  options.progress("looking for secrets that are said again elsewhere");
  await sweepAll(folder, redactor, options.signal);
  const head = {
    ...{ tool: VERSION, createdAt: new Date(clock.now()).toISOString() },
    clusters: redacted.map(({ cluster, source }, at) => ({ cluster, source, folder: folders[at]! })),
  };
  options.progress("checking what was collected");
  const notCollected = missing.map(({ path, why }) => ({ path, why: redactor.sweep(why) }));
  const judged = await writeJudged(folder, redactor, { ...head, notCollected }, options.systemNamespace);
  if (typeof judged === "string") notCollected.push({ path: FINDINGS_FILE, why: judged });
  const manifest: ReportManifest = {
    ...{ schema: REPORT_SCHEMA, ...head },
    ...{ redacted: redactor.counts, redactedEverywhere: !redactor.overflowed },
    ...{ notCollected, files: await filesOf(folder) },
  };
  await writeFile(join(folder, "manifest.json"), `${JSON.stringify(manifest, undefined, 2)}\n`, { mode: 0o600 });
  return { manifest, facts: redacted, judged: typeof judged === "string" ? undefined : judged };
}

/** @returns what was found; or why nothing could be. Both files are redacted as all others are, and looked through again. */
async function writeJudged(
  folder: string,
  redactor: Redactor,
  collected: Collected,
  systemNamespace: string,
): Promise<JudgedReport | string> {
  try {
    const judged = await judgeReport(folder, systemNamespace);
    for (const [path, text] of [
      [FINDINGS_FILE, judgedJson(judged)],
      [SUMMARY_FILE, judgedText(judged, collected)],
    ] as const)
      await writeFile(join(folder, path), redactor.sweep(redactFile(path, text, redactor)), { mode: 0o600 });
    return judged;
  } catch (thrown) {
    return redactor.sweep(redactor.text(messageOf(thrown)));
  }
}

/** The same facts, without what is secret in them. */
export function redactFacts(facts: ClusterFacts, redactor: Redactor): ClusterFacts {
  const kinds = Array.from(facts.kinds, ([kind, known]): [string, KindFacts] => [
    kind,
    "objects" in known
      ? { objects: redactor.value(known.objects) as typeof known.objects }
      : { ...known, why: redactor.text(known.why) },
  ]);
  const planes = facts.planes.map(({ pod, pages }) => ({
    pod,
    pages: new Map(
      Array.from(pages, ([name, page]): [string, PageFacts] => [
        name,
        "body" in page ? { body: redactor.value(page.body) } : { ...page, why: redactor.text(page.why) },
      ]),
    ),
  }));
  const { unread, ...rest } = facts;
  return { ...rest, kinds: new Map(kinds), planes, ...(unread !== undefined && { unread: redactor.text(unread) }) };
}

function unreadOf({ kinds, planes, unread }: ClusterFacts, folder: string): { path: string; why: string }[] {
  if (unread !== undefined) return [{ path: folder, why: unread }];
  const objects = [...kinds].flatMap(([kind, known]) =>
    "objects" in known || known.absent ? [] : [{ path: `${folder}/objects/${kind}.yaml`, why: known.why }],
  );
  const pages = planes.flatMap((plane) =>
    [...plane.pages].flatMap(([name, page]) =>
      "why" in page ? [{ path: `${folder}/planes/${plane.pod.replace("/", "_")}/${name}.json`, why: page.why }] : [],
    ),
  );
  return [...objects, ...pages];
}

/** Pieces that go to disk, redacted and within the bound. */
class Written {
  readonly #folder: string;
  readonly #redactor: Redactor;
  #bytes = 0;

  constructor(folder: string, redactor: Redactor) {
    this.#folder = folder;
    this.#redactor = redactor;
  }

  /** Undefined if it is there now; else why not. */
  async write(folder: string, piece: Piece): Promise<string | undefined> {
    if ("why" in piece) return piece.why;
    const text = redactFile(piece.path, piece.text, this.#redactor);
    this.#bytes += Buffer.byteLength(text);
    if (this.#bytes > REPORT_BYTES_MAX) return `the report is larger than ${REPORT_BYTES_MAX >> 20} MiB already`;
    const path = join(this.#folder, folder, piece.path);
    try {
      await mkdir(dirname(path), { recursive: true });
      await writeFile(path, text, { mode: 0o600 });
      return undefined;
    } catch (thrown) {
      return messageOf(thrown);
    }
  }
}

/** By what the name says that is in it; what cannot be read as that is looked through as text. */
export function redactFile(path: string, text: string, redactor: Redactor): string {
  try {
    if (path.endsWith(".json")) return `${JSON.stringify(redactor.value(JSON.parse(text)), undefined, 1)}\n`;
    if (/\.ya?ml$/.test(path)) return redactYaml(text, redactor);
  } catch {
    return redactor.text(text);
  }
  return redactor.text(text);
}

function redactYaml(text: string, redactor: Redactor): string {
  const documents = parseAllDocuments(text, { logLevel: "silent" });
  if (!Array.isArray(documents) || documents.some(({ errors }) => errors.length > 0)) return redactor.text(text);
  const values = documents.map((document) => document.toJS({ maxAliasCount: 100 }) as unknown);
  // What is only said in comments is in no value.
  return values.map((value) => redactor.text(stringify(redactor.value(value)))).join("---\n");
}

/** Once everything is known that is secret. */
async function sweepAll(folder: string, redactor: Redactor, signal: AbortSignal): Promise<void> {
  for (const path of await pathsIn(folder)) {
    signal.throwIfAborted();
    const text = await readFile(path, "utf8");
    const swept = redactor.sweep(text);
    if (swept !== text) await writeFile(path, swept);
  }
}

/** What is there in the end. */
async function filesOf(folder: string): Promise<ReportManifest["files"]> {
  const files: ReportManifest["files"][number][] = [];
  for (const path of await pathsIn(folder)) {
    const bytes = await readFile(path);
    const sha256 = createHash("sha256").update(bytes).digest("hex");
    files.push({ path: relative(folder, path).split(sep).join("/"), bytes: bytes.length, sha256 });
  }
  return files;
}

async function pathsIn(folder: string): Promise<readonly string[]> {
  const entries = await readdir(folder, { recursive: true, withFileTypes: true });
  return entries
    .filter((entry) => entry.isFile())
    .map((entry) => join(entry.parentPath, entry.name))
    .sort();
}
