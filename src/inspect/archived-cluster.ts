import { readdir, readFile } from "node:fs/promises";
import { basename, join } from "node:path";
import { MeshError, messageOf } from "../errors.ts";
import { isFields } from "../kube/fields.ts";
import type { KubeObject } from "../kube/object.ts";
import type {
  ClusterFacts,
  FileFacts,
  KindFacts,
  Measurements,
  PageFacts,
  PlaneFacts,
  Right,
} from "./cluster-facts.ts";
import { objectsInText } from "./manifest-text.ts";
import { reducedObject, withoutSecrets } from "./reduced-object.ts";

/** A control plane on this machine served manifests; one that did not say what it made of them said no addresses, either. */
const FILES: FileFacts = { origins: new Map(), faults: [], unknownKinds: [], declared: true };

type Fields = Readonly<Record<string, unknown>>;

/** What `writeFacts` wrote of one cluster. @throws MeshError `invalid`, naming the file. */
export async function readArchivedCluster(folder: string): Promise<ClusterFacts> {
  const head = await readHead(join(folder, "cluster.json"));
  const readAt = Date.parse(textOf(head["readAt"]) ?? "");
  if (Number.isNaN(readAt))
    throw new MeshError("invalid", `${join(folder, "cluster.json")}: readAt must be a time, as 2026-01-31T12:00:00Z`);
  return {
    cluster: textOf(head["cluster"]) ?? basename(folder),
    source: `folder ${folder}`,
    context: textOf(head["context"]),
    readAt,
    kinds: new Map([...kindsNotRead(head["unreadKinds"]), ...(await readKinds(join(folder, "objects")))]),
    planes: await readPlanes(join(folder, "planes"), fieldsOf(head["unreadPages"])),
    measured: measurementsOf(fieldsOf(head["measured"])),
    unread: textOf(head["unread"]),
    ...(head["refused"] === true && { refused: true }),
    ...(head["declared"] === true && { files: FILES }),
    ...(head["embedded"] === true && { files: { ...FILES, declared: false, embedded: true } }),
  };
}

async function readHead(path: string): Promise<Fields> {
  try {
    const head: unknown = JSON.parse(await readFile(path, "utf8"));
    if (!isFields(head)) throw new MeshError("invalid", "it is no map");
    return head;
  } catch (thrown) {
    throw new MeshError("invalid", `${path} cannot be read: ${messageOf(thrown)}`);
  }
}

function kindsNotRead(value: unknown): readonly (readonly [string, KindFacts])[] {
  return Object.entries(fieldsOf(value)).map(([kind, known]) => {
    const { why, absent } = fieldsOf(known);
    return [kind, { why: textOf(why) ?? "it was not read", absent: absent === true }];
  });
}

async function readKinds(folder: string): Promise<readonly (readonly [string, KindFacts])[]> {
  const files = (await filesIn(folder)).filter((name) => name.endsWith(".yaml"));
  return Promise.all(
    files.map(async (name) => {
      const { objects, faults } = objectsInText(await readFile(join(folder, name), "utf8"));
      const why = faults[0] && `${join(folder, name)}, line ${faults[0].line}: ${faults[0].reason}`;
      const known = why === undefined ? { objects: objects.map(({ object }) => kept(object)) } : { why, absent: false };
      return [name.slice(0, -".yaml".length), known] as const;
    }),
  );
}

/** Whoever put an object there may not have been us. */
const kept = (object: KubeObject): KubeObject => reducedObject(object);

async function readPlanes(folder: string, unreadPages: Fields): Promise<readonly PlaneFacts[]> {
  const written = (await foldersIn(folder)).map((name) => name.replace("_", "/"));
  const pods = [...new Set([...Object.keys(unreadPages), ...written])].sort();
  return Promise.all(
    pods.map(async (pod) => {
      const unread = Object.entries(fieldsOf(unreadPages[pod])).map(
        ([name, known]) => [name, pageNotRead(known)] as const,
      );
      const pages = new Map<string, PageFacts>(unread);
      const place = join(folder, pod.replace("/", "_"));
      for (const name of await filesIn(place))
        if (name.endsWith(".json")) pages.set(name.slice(0, -".json".length), await readPage(join(place, name)));
      for (const name of await filesIn(join(place, "explain")))
        pages.set(`explain/${name.replace(/\.json$/, "")}`, await readPage(join(place, "explain", name)));
      return { pod, pages };
    }),
  );
}

const pageNotRead = (known: unknown): PageFacts =>
  isFields(known)
    ? { why: textOf(known["why"]) ?? "it was not read", denied: known["denied"] === true }
    : { why: String(known) };

async function readPage(path: string): Promise<PageFacts> {
  try {
    return { body: withoutSecrets(JSON.parse(await readFile(path, "utf8"))) };
  } catch (thrown) {
    return { why: `${path} cannot be read: ${messageOf(thrown)}` };
  }
}

function measurementsOf({ clockSkewMs, rights, rightsUnknown }: Fields): Measurements {
  return {
    clockSkewMs: typeof clockSkewMs === "number" ? clockSkewMs : undefined,
    rights: Array.isArray(rights) ? (rights as readonly unknown[]).filter(isFields).map(rightOf) : undefined,
    rightsUnknown: textOf(rightsUnknown),
  };
}

const rightOf = ({ user, verb, group, resource, name, namespace, allowed }: Fields): Right => ({
  ...{
    user: textOf(user) ?? "",
    verb: textOf(verb) ?? "",
    group: textOf(group) ?? "",
    resource: textOf(resource) ?? "",
  },
  ...{ name: textOf(name), namespace: textOf(namespace) ?? "", allowed: allowed === true },
});

async function filesIn(folder: string): Promise<readonly string[]> {
  const entries = await readdir(folder, { withFileTypes: true }).catch(() => []);
  return entries.flatMap((entry) => (entry.isFile() ? [entry.name] : [])).sort();
}

async function foldersIn(folder: string): Promise<readonly string[]> {
  const entries = await readdir(folder, { withFileTypes: true }).catch(() => []);
  return entries.flatMap((entry) => (entry.isDirectory() ? [entry.name] : [])).sort();
}

const textOf = (value: unknown): string | undefined => (typeof value === "string" ? value : undefined);
const fieldsOf = (value: unknown): Fields => (isFields(value) ? value : {});
