import { join } from "node:path";
import { type AuthorityKeeper, firstStage, refusalsOf } from "../ca/authority-keeper.ts";
import type { Authority } from "../ca/authority.ts";
import { type AuthorityUse, firstUse } from "../ca/authority-use.ts";
import { CacertsFollower, LOOK_MS } from "../ca/cacerts-follower.ts";
import { authorityOf, readCacerts, withoutLists } from "../ca/cacerts.ts";
import { selfMadeRoot } from "../ca/self-made-root.ts";
import { MeshError, messageOf } from "../errors.ts";
import type { Problem } from "../registry/model/problem.ts";
import { type AuthorityContext, type AuthoritySource, keeperOf, problemsOf } from "./authority-source.ts";
import { cacertsFolder } from "./relay-paths.ts";
import { RootMemoryFile } from "./root-memory-file.ts";
import { unlessAborted } from "./unless-aborted.ts";

/** The folder that `--cacerts` names. What cannot be used there is waited for: it never makes us sign with another root. */
class FolderAuthority implements AuthoritySource {
  readonly #context: AuthorityContext;
  readonly #folder: string;
  readonly #memory: RootMemoryFile;
  #authority: Authority | undefined;
  #waiting: string | undefined;
  #nextLook: Disposable | undefined;
  #keeper: AuthorityKeeper | undefined;
  #follower: CacertsFollower | undefined;
  #first: (authority: Authority) => void = () => {};
  #empty = false;
  #poked: Promise<void> = Promise.resolve();
  #closed = false;

  constructor(context: AuthorityContext, folder: string) {
    const { host, config } = context;
    this.#context = context;
    this.#folder = folder;
    this.#memory = new RootMemoryFile(host.log.scope("ca"), join(config.stateDir, "root-memory.json"));
  }

  async first(signal: AbortSignal): Promise<Authority> {
    await this.#memory.open();
    const found = new Promise<Authority>((resolve) => (this.#first = resolve));
    void this.#look();
    return unlessAborted(found, signal, "no authority was found that can be used");
  }

  use(): AuthorityUse | undefined {
    return this.#keeper?.use ?? (this.#authority && firstUse(this.#authority));
  }

  /** Twice, as what is there counts once it stays the same. */
  look(): Promise<void> {
    const looks = async (): Promise<void> => {
      if (this.#closed) return;
      if (this.#authority === undefined) return this.#look();
      await this.#follower?.reload();
      await this.#follower?.reload();
    };
    return (this.#poked = this.#poked.then(looks));
  }

  waitingFor(): string | undefined {
    return this.#authority === undefined ? (this.#waiting ?? `${this.#folder} is not read yet`) : undefined;
  }

  follow(onChange: (authority: Authority) => Promise<void>): void {
    const { host } = this.#context;
    this.#keeper = keeperOf(this.#context, this.#authority!, this.#memory, onChange);
    this.#follower = new CacertsFollower(host, this.#folder, this.#keeper);
    this.#follower.start();
  }

  problems(): readonly Problem[] {
    const waiting = this.#waiting === undefined ? [] : [{ severity: "error", message: `${this.#waiting}.` } as const];
    return problemsOf(`folder ${this.#folder}`, [...waiting, ...(this.#keeper?.faults ?? [])]);
  }

  async close(): Promise<void> {
    this.#closed = true;
    this.#nextLook?.[Symbol.dispose]();
    await this.#poked;
    await this.#follower?.close();
    await this.#memory.close();
  }

  async #look(): Promise<void> {
    const { clock, log } = this.#context.host;
    const why = await this.#read().then(() => undefined, messageOf);
    if (this.#closed) return;
    if (this.#authority !== undefined) return this.#first(this.#authority);
    // To have none yet is how it begins under a trust manager.
    const begins = this.#context.config.relay.manager !== undefined && this.#empty;
    if (why !== this.#waiting && !begins) {
      refusalsOf(this.#context.host).add();
      log.scope("ca").error("there is no authority that can be used, so we are not ready; mend it", { why });
    }
    this.#waiting = why;
    this.#nextLook?.[Symbol.dispose]();
    this.#nextLook = clock.after(LOOK_MS, () => void this.#look());
    this.#context.noteProblems();
  }

  get #whyEmpty(): string {
    if (this.#context.config.relay.manager !== undefined)
      return `${this.#folder} holds no authority yet, and the trust manager's goes there`;
    return `${this.#folder} holds no ca-cert.pem and no tls.crt; put the authority there`;
  }

  async #read(): Promise<void> {
    const { host, config, noteProblems } = this.#context;
    const files = await readCacerts(this.#folder);
    this.#empty = files === undefined;
    if (files === undefined) throw new MeshError("absent", this.#whyEmpty);
    const read = config.readsLists ? files : withoutLists(files);
    const authority = authorityOf(read, config.trustDomain, host.clock.now());
    this.#authority = firstStage(host, { authority, rootWaitMs: config.rootWaitMs, memory: this.#memory });
    this.#waiting = undefined;
    noteProblems();
  }
}

/** A root of our own in the state folder, which never changes by itself. */
class StateFolderAuthority implements AuthoritySource {
  readonly #context: AuthorityContext;
  #authority: Authority | undefined;

  constructor(context: AuthorityContext) {
    this.#context = context;
  }

  async first(): Promise<Authority> {
    const { host, config } = this.#context;
    return (this.#authority = await selfMadeRoot(host, join(config.stateDir, "ca"), config.trustDomain));
  }
  use(): AuthorityUse | undefined {
    return this.#authority && firstUse(this.#authority);
  }
  async look(): Promise<void> {}
  waitingFor(): undefined {}
  follow(): void {}
  problems(): readonly Problem[] {
    return [];
  }
  async close(): Promise<void> {}
}

export function localAuthority(context: AuthorityContext): AuthoritySource {
  const cacertsDir = cacertsFolder(context.config);
  return cacertsDir === undefined ? new StateFolderAuthority(context) : new FolderAuthority(context, cacertsDir);
}
