import { readdir, readFile, stat } from "node:fs/promises";
import { basename, join, relative, resolve, sep } from "node:path";
import { MeshError, messageOf } from "../errors.ts";
import type { EpochMs } from "../host.ts";
import type { KubeObject } from "../kube/object.ts";
import type { Problem } from "../registry/model/problem.ts";
import { type ClusterFacts, type FileFacts, kindName } from "./cluster-facts.ts";
import { clusterNameOf } from "./cluster-name.ts";
import type { ResourceType } from "../kube/api.ts";
import { JOBS, REPLICA_SETS, STATEFUL_SETS } from "../kube/resource-types.ts";
import { FACT_KINDS, isFact } from "./facts-kinds.ts";
import { objectsInText } from "./manifest-text.ts";
import { reducedObject } from "./reduced-object.ts";

const FILE_BYTES_MAX = 64 * 1024 * 1024;
const FILES_MAX = 20_000;

/** One cluster, of which somebody wrote down objects. @throws MeshError if `folder` is none, or holds no manifest. */
export async function readManifestFolder(folder: string): Promise<ClusterFacts> {
  const files = await manifestFiles(folder);
  refuseStateFolder(folder, files);
  const gathered = new Gathered();
  let readAt: EpochMs = 0;
  for (const path of files) {
    const at = `${basename(resolve(folder))}/${path.split(sep).join("/")}`;
    try {
      const { mtimeMs, size } = await stat(join(folder, path));
      readAt = Math.max(readAt, Math.floor(mtimeMs));
      if (size > FILE_BYTES_MAX) gathered.fault(at, "", "", `it is larger than ${FILE_BYTES_MAX >> 20} MiB; split it`);
      else gathered.take(at, await readFile(join(folder, path), "utf8"));
    } catch (thrown) {
      gathered.fault(at, "", "", `it cannot be read: ${messageOf(thrown)}`);
    }
  }
  if (gathered.isEmpty)
    throw new MeshError(
      "invalid",
      `${folder} holds no manifest of a kind that is read: give it a bug report, or what kubectl get -o yaml prints`,
    );
  return gathered.facts(folder, readAt);
}

/** Its files are JSON, and no manifests: each would be a fault. @throws MeshError saying what to read in its place. */
function refuseStateFolder(folder: string, files: readonly string[]): void {
  if (!files.some((path) => basename(path) === "connection.json")) return;
  throw new MeshError(
    "invalid",
    `${folder} holds the state of a control plane, not manifests: name it with --state, or the folder of its manifests`,
  );
}

/** What the files of one folder say together. */
class Gathered {
  readonly objects = new Map<string, KubeObject>();
  readonly #origins = new Map<KubeObject, string>();
  readonly #faults: Problem[] = [];
  readonly #unknown = new Map<string, FileFacts["unknownKinds"][number]>();
  #seenByServer = false;

  /** What cannot be read may have been meant for a manifest, and is said. */
  get isEmpty(): boolean {
    return this.objects.size === 0 && this.#faults.length === 0;
  }

  take(file: string, text: string): void {
    const { objects, faults } = objectsInText(text);
    for (const { line, object, field, reason } of faults) this.fault(`${file}:${line}`, object, field, reason);
    for (const { object, line } of objects) this.#add(object, `${file}:${line}`);
  }

  fault(origin: string, object: string, field: string, message: string): void {
    this.#faults.push({ origin, object, field, message, severity: "error" });
  }

  facts(folder: string, readAt: EpochMs): ClusterFacts {
    const all = [...this.objects.values()];
    const kinds = MANIFEST_KINDS.flatMap((type) => {
      const objects = all.filter((object) => kindOf(object) === `${type.group}/${type.kind}`);
      return objects.length === 0 ? [] : [[kindName(type), { objects }] as const];
    });
    const known = { kinds: new Map(kinds), planes: [] };
    return {
      ...known,
      cluster: clusterNameOf(known) ?? basename(resolve(folder)),
      ...{ source: `folder ${folder}`, context: undefined, readAt },
      measured: { clockSkewMs: undefined, rights: undefined },
      files: {
        ...{ origins: this.#origins, faults: this.#faults },
        ...{ unknownKinds: [...this.#unknown.values()], declared: !this.#seenByServer },
      },
    };
  }

  #add(object: KubeObject, origin: string): void {
    const { apiVersion, kind, metadata } = object;
    this.#seenByServer ||= metadata.uid !== undefined || metadata["resourceVersion"] !== undefined;
    if (!KINDS.has(kindOf(object))) {
      const name = `${apiVersion} ${kind}`;
      if (!this.#unknown.has(name)) this.#unknown.set(name, { apiVersion, kind, origin });
      return;
    }
    if (!isFact(object)) return;
    const place = `${metadata.namespace === undefined ? "" : `${metadata.namespace}/`}${metadata.name}`;
    const key = `${kindOf(object)} ${place}`;
    const first = this.objects.get(key);
    if (first !== undefined) {
      const before = this.#origins.get(first) ?? "";
      return this.fault(
        origin,
        `${kind} ${place}`,
        "",
        `it is there already, at ${before}, which counts; keep one of them`,
      );
    }
    const kept = reducedObject(object);
    this.objects.set(key, kept);
    this.#origins.set(kept, origin);
  }
}

const kindOf = ({ apiVersion, kind }: KubeObject): string =>
  `${apiVersion.includes("/") ? apiVersion.slice(0, apiVersion.indexOf("/")) : ""}/${kind}`;

/** Of manifests also what makes pods, as nobody else says which there would be. */
const MANIFEST_KINDS: readonly ResourceType[] = [...FACT_KINDS, STATEFUL_SETS, REPLICA_SETS, JOBS];
const KINDS: ReadonlySet<string> = new Set(MANIFEST_KINDS.map(({ group, kind }) => `${group}/${kind}`));

const ARCHIVE = /\.(tgz|tar\.gz)$/;
const FILE_FIXES = [
  "name the folder that it is in",
  "unpack it (tar xzf), and name the folder that comes of it",
] as const;

/** Relative to the folder, in order; links are not followed, and hidden files are no manifests. */
async function manifestFiles(folder: string): Promise<readonly string[]> {
  try {
    const entries = await readdir(folder, { recursive: true, withFileTypes: true });
    const files = entries
      .filter((entry) => entry.isFile() && /\.(ya?ml|json)$/i.test(entry.name))
      .map((entry) => relative(folder, join(entry.parentPath, entry.name)))
      .filter((path) => !path.split(sep).some((part) => part.startsWith(".")));
    return files.sort().slice(0, FILES_MAX);
  } catch (thrown) {
    const code = thrown instanceof Error && "code" in thrown ? thrown.code : undefined;
    if (code === "ENOENT") throw new MeshError("absent", `there is no folder ${folder}`);
    if (code === "ENOTDIR")
      throw new MeshError("invalid", `${folder} is a file: ${FILE_FIXES[Number(ARCHIVE.test(folder))]}`);
    throw new MeshError("unavailable", `the folder ${folder} cannot be read: ${messageOf(thrown)}`);
  }
}
