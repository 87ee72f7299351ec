import { readFileSync } from "node:fs";
import { nodeOf } from "../../src/commands/watch.ts";
import { systemClock } from "../../src/system-host.ts";
import { ContentDigest } from "../../src/xds/content-digest.ts";
import { DeltaClient } from "../../src/xds/delta-client.ts";
import { followXds } from "../../src/xds/follow.ts";
import { ADDRESS_TYPE, AUTHORIZATION_TYPE, type TypeUrl } from "../../src/xds/resource.ts";
import { type Causeway, eventually } from "./causeway-process.ts";

const TYPES = [ADDRESS_TYPE, AUTHORIZATION_TYPE];

export interface MeshStep {
  /** As `performance.now`. */
  readonly atMs: number;
  /** What it added or changed. */
  readonly changed: readonly string[];
  readonly removed: readonly string[];
}

/** A client of a Causeway that remembers every change it was told of: what flapped, and what was ever missing. */
export class MeshWatcher {
  readonly #client: DeltaClient;
  readonly #end = new AbortController();
  readonly #done: Promise<void>;
  readonly #heard = new Set<TypeUrl>();
  /** Names, as they were removed; a name that came back and went again is there twice. */
  readonly removed: string[] = [];
  /** Names, as they were added or changed, after the first response of their type. */
  readonly changed: string[] = [];
  /** Each response since it has the mesh. */
  readonly steps: MeshStep[] = [];
  /** How often a stream was lost. */
  lost = 0;
  /** Why it gave up. */
  failure: Error | undefined;

  private constructor(causeway: Causeway, token: string, cluster: string) {
    this.#client = new DeltaClient(nodeOf(token), TYPES);
    const { xds: address, rootCertificate } = causeway.connection!;
    const target = { address, roots: readFileSync(rootCertificate, "utf8"), token, clusterId: cluster };
    this.#done = followXds({
      target,
      client: this.#client,
      clock: systemClock,
      signal: this.#end.signal,
      onUpdate: ({ typeUrl, resources, removed }) => {
        const names = resources.map(({ name }) => name);
        if (this.#heard.has(typeUrl)) this.changed.push(...names);
        if (this.#heard.size === TYPES.length) this.steps.push({ atMs: performance.now(), changed: names, removed });
        this.#heard.add(typeUrl);
        this.removed.push(...removed);
      },
      onLost: () => (this.lost += 1),
    }).catch((thrown: Error) => void (this.failure = thrown));
  }

  /** Resolves once it has the mesh. `token` is of an account that may read it. @throws MeshError if it is not let in. */
  static async start(causeway: Causeway, token: string, cluster = "Kubernetes"): Promise<MeshWatcher> {
    const watcher = new MeshWatcher(causeway, token, cluster);
    const heard = () => watcher.failure !== undefined || watcher.#heard.size === TYPES.length;
    await eventually("a client has the mesh", 10_000, heard);
    if (watcher.failure !== undefined) throw watcher.failure;
    return watcher;
  }

  get names(): readonly string[] {
    return TYPES.flatMap((type) => [...this.#client.held(type).keys()]);
  }

  /** As `Causeway.digests`, of what this client holds. */
  digests(): Readonly<Record<string, string>> {
    return Object.fromEntries(
      TYPES.map((type) => {
        const digest = new ContentDigest();
        for (const [name, version] of this.#client.held(type)) digest.add(name, version);
        return [type, `${this.#client.held(type).size} ${digest.toString()}`];
      }),
    );
  }

  async close(): Promise<void> {
    this.#end.abort();
    await this.#done;
  }
}
