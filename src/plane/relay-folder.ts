import { mkdir, readdir, readFile, readlink, rename, rm, symlink, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { authorityOf, type CacertsFiles, ISTIO, KUBERNETES, readCacerts } from "../ca/cacerts.ts";
import { CRL_FILE } from "../ca/crl-check.ts";
import type { Config } from "../config.ts";
import { MeshError, messageOf } from "../errors.ts";
import type { Host } from "../host.ts";
import type { ClusterId } from "../names.ts";
import type { ClientIdentity, IdentityStore } from "../relay/client-identity.ts";
import { type AuthorityUpdate, type Installed, whyForeign } from "../relay/installed.ts";
import type { Bound } from "../relay/messages.ts";
import { writeWhole } from "../whole-file.ts";
import { peerGrantObjects } from "./bound-grants.ts";
import { cacertsFolder, grantsFolder, relayFolder } from "./relay-paths.ts";
import { filesAsTheyAre, IDENTITY_KEYS, type RelaySink } from "./relay-sink.ts";

/** Beside the four files, what a label is on a Secret: the cluster that they are for, and what they were asked for by. */
const LABEL_FILE = "trust-cluster";
/** As a kubelet has it: the files are links into it, so that one rename changes them all. */
const DATA = "..data";
const NAMES = [...new Set([...Object.values(ISTIO), ...Object.values(KUBERNETES)])].filter(
  (name) => name !== undefined,
);

/** ⇄ For clusters that are folders: `cacerts` beside the state folder's other parts, and who we are in `relay`. */
export class RelayFolder implements RelaySink {
  readonly title: string;
  readonly identity: IdentityStore;
  readonly #host: Host;
  readonly #config: Config;
  readonly #cluster: ClusterId;

  constructor(host: Host, config: Config, cluster: ClusterId) {
    this.title = cacertsFolder(config)!;
    this.#host = host;
    this.#config = config;
    this.#cluster = cluster;
    this.identity = new IdentityFile(join(relayFolder(config), "client.json"), config.relay.tokenFile);
  }

  async open(): Promise<void> {
    try {
      await mkdir(relayFolder(this.#config), { recursive: true, mode: 0o700 });
      await mkdir(grantsFolder(this.#config), { recursive: true, mode: 0o700 });
      await mkdir(this.title, { recursive: true, mode: 0o700 });
    } catch (thrown) {
      throw new MeshError("unavailable", `${this.title} cannot be made: ${messageOf(thrown)}`, {}, { cause: thrown });
    }
    await this.#beginWithOwnRoot();
  }

  async look(): Promise<Installed> {
    await this.#relink();
    const texts = await this.#texts();
    const label = texts.get(LABEL_FILE);
    const found = new Map([...texts].filter(([name]) => name !== LABEL_FILE));
    if (found.size === 0) return { kind: "absent" };
    const [cluster, wish = ""] = (label ?? "").split("\n");
    if (cluster === this.#cluster) return { kind: "own", files: filesAsTheyAre(this.title, found), wish };
    const what = label === undefined ? `has no file ${LABEL_FILE}` : `is for cluster ${cluster}, by its ${LABEL_FILE}`;
    const handOver = `write ${this.#cluster} into ${join(this.title, LABEL_FILE)} to hand it over, or delete the files`;
    return { kind: "foreign", why: whyForeign(this.title, what, handOver) };
  }

  async install(update: AuthorityUpdate): Promise<void> {
    const there = await this.look();
    if (there.kind === "foreign") throw new MeshError("denied", there.why);
    if ((there.kind === "own" ? there.files.digest : undefined) !== update.replaces)
      throw new MeshError("conflict", `${this.title} was changed meanwhile`);
    try {
      if (there.kind === "own") await this.#keepPrevious(there.files);
      await this.#place(update.files, update.wish);
    } catch (thrown) {
      throw new MeshError(
        "unavailable",
        `${this.title} cannot be written: ${messageOf(thrown)}`,
        {},
        { cause: thrown },
      );
    }
  }

  async govern(bounds: readonly Bound[] | undefined): Promise<void> {
    const file = join(grantsFolder(this.#config), "workspace-bounds.yaml");
    const grants = peerGrantObjects(bounds, this.#config.systemNamespace);
    const text = grants.map((grant) => `---\n${JSON.stringify(grant, undefined, 2)}\n`).join("");
    try {
      if (grants.length === 0) await rm(file, { force: true });
      else if ((await readFile(file, "utf8").catch(() => "")) !== text) await writeWhole(file, text);
    } catch (thrown) {
      throw new MeshError("unavailable", `${file} cannot be written: ${messageOf(thrown)}`, {}, { cause: thrown });
    }
  }

  /** What we signed with before there was a trust manager is what we begin with. */
  async #beginWithOwnRoot(): Promise<void> {
    const { cacertsDir, stateDir, trustDomain } = this.#config;
    if (cacertsDir !== undefined || (await this.look()).kind !== "absent") return;
    const own = await readCacerts(join(stateDir, "ca")).catch(() => undefined);
    if (own === undefined) return;
    authorityOf(own, trustDomain, this.#host.clock.now());
    await this.#place(own.text, "");
  }

  async #texts(): Promise<ReadonlyMap<string, string>> {
    const present = new Set(await readdir(this.title));
    const names = [...NAMES, CRL_FILE, LABEL_FILE].filter((name) => present.has(name));
    return new Map(await Promise.all(names.map(async (name) => [name, await this.#text(name)] as const)));
  }

  async #text(name: string): Promise<string> {
    try {
      return await readFile(join(this.title, name), "utf8");
    } catch (thrown) {
      throw new MeshError("invalid", `${join(this.title, name)} cannot be read: ${messageOf(thrown)}`);
    }
  }

  async #keepPrevious({ text }: CacertsFiles): Promise<void> {
    const folder = `${this.title}-previous`;
    await mkdir(folder, { recursive: true, mode: 0o700 });
    for (const [name, content] of text) await writeWhole(join(folder, name), content, 0o600);
  }

  /** A new folder with all of it, then one rename. */
  async #place(files: ReadonlyMap<string, string>, wish: string): Promise<void> {
    await this.#linkPlainFiles();
    await this.#pointTo(new Map([...files, [LABEL_FILE, `${this.#cluster}\n${wish}\n`]]));
    await this.#relink();
    for (const name of [...NAMES, CRL_FILE]) if (!files.has(name)) await rm(join(this.title, name), { force: true });
  }

  async #pointTo(files: ReadonlyMap<string, string>): Promise<void> {
    const tag = Buffer.from(this.#host.random.bytes(6)).toString("hex");
    const name = `..${new Date(this.#host.clock.now()).toISOString().replaceAll(/[:.]/g, "-")}-${tag}`;
    await mkdir(join(this.title, name), { mode: 0o700 });
    for (const [file, text] of files) await writeFile(join(this.title, name, file), text, { mode: 0o600 });
    const old = await readlink(join(this.title, DATA)).catch(() => undefined);
    await this.#link(name, DATA);
    if (old !== undefined) await rm(join(this.title, old), { recursive: true, force: true });
  }

  /** A link that takes the place of what has its name. */
  async #link(target: string, name: string): Promise<void> {
    const scratch = join(this.title, `..new-${name}`);
    await rm(scratch, { force: true });
    await symlink(target, scratch);
    await rename(scratch, join(this.title, name));
  }

  /** What somebody put there as files becomes links to the same, so that it changes as a whole afterwards. */
  async #linkPlainFiles(): Promise<void> {
    if ((await readlink(join(this.title, DATA)).catch(() => undefined)) !== undefined) return;
    const texts = await this.#texts();
    if (texts.size === 0) return;
    await this.#pointTo(texts);
    await this.#relink(true);
  }

  /** Whoever ended between the rename and the first links has left none. */
  async #relink(all = false): Promise<void> {
    const inside = await readdir(join(this.title, DATA)).catch(() => []);
    const present = new Set(await readdir(this.title).catch(() => []));
    // The certificate comes last: with it, the folder is complete.
    const names = inside.toSorted((a, b) => Number(a === ISTIO.certificate) - Number(b === ISTIO.certificate));
    for (const name of names) if (all || !present.has(name)) await this.#link(`${DATA}/${name}`, name);
  }
}

/** Who we are to the trust manager, in one file, so that it is whole or not there. */
class IdentityFile implements IdentityStore {
  readonly title: string;
  readonly tokenTitle: string;
  readonly #tokenFile: string | undefined;

  constructor(path: string, tokenFile: string | undefined) {
    this.title = path;
    this.tokenTitle = tokenFile ?? "no file (--trust-token)";
    this.#tokenFile = tokenFile;
  }

  async read(): Promise<ClientIdentity | undefined> {
    const text = await textIn(this.title);
    if (text === undefined) return undefined;
    try {
      const fields = JSON.parse(text) as Readonly<Partial<Record<string, string>>>;
      const of = (key: string): string => String(fields[key] ?? "");
      const { chain, key, roots } = IDENTITY_KEYS;
      return { chain: of(chain), key: of(key), roots: of(roots), tokenId: of("token-id") };
    } catch (thrown) {
      throw new MeshError("invalid", `${this.title} is not what we wrote: ${messageOf(thrown)}; delete it`);
    }
  }

  async write({ chain, key, roots, tokenId }: ClientIdentity): Promise<void> {
    const names = IDENTITY_KEYS;
    const fields = { [names.chain]: chain, [names.key]: key, [names.roots]: roots, "token-id": tokenId };
    try {
      await writeWhole(this.title, `${JSON.stringify(fields, undefined, 2)}\n`, 0o600);
    } catch (thrown) {
      throw new MeshError("unavailable", `${this.title} cannot be written: ${messageOf(thrown)}`);
    }
  }

  token(): Promise<string | undefined> {
    return this.#tokenFile === undefined ? Promise.resolve(undefined) : textIn(this.#tokenFile);
  }
}

/** Undefined if there is no such file. */
export async function textIn(path: string): Promise<string | undefined> {
  try {
    return await readFile(path, "utf8");
  } catch (thrown) {
    if (thrown instanceof Error && "code" in thrown && thrown.code === "ENOENT") return undefined;
    throw new MeshError("invalid", `${path} cannot be read: ${messageOf(thrown)}`, {}, { cause: thrown });
  }
}
