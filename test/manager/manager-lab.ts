import { rm } from "node:fs/promises";
import { parse } from "yaml";
import { newAuthorityRequest } from "../../src/ca/authority-request.ts";
import { fingerprintOf } from "../../src/ca/issued-list.ts";
import type { KubeObject, ObjectSink } from "../../src/kube/object.ts";
import type { ObjectFeed } from "../../src/manager/feeds/object-feed.ts";
import { secretTexts } from "../../src/manager/feeds/secret-texts.ts";
import { FolderStore } from "../../src/manager/store/folder-store.ts";
import { issuerOpener } from "../../src/manager/issuer-opener.ts";
import { TrustManager } from "../../src/manager/manager.ts";
import type { ObjectName } from "../../src/manager/policy.ts";
import type { TrustView } from "../../src/manager/view.ts";
import { type ClusterId, clusterId } from "../../src/names.ts";
import type { ClusterReport, Order, SignedIntermediate } from "../../src/relay/messages.ts";
import { folderOf } from "../kits/folder.ts";
import { realHost } from "../kits/real-host.ts";
import { until } from "../kits/until.ts";

export { clusterId };
const { signal } = new AbortController();

/** Objects that a test puts and takes away. */
class TestFeed implements ObjectFeed {
  readonly title = "the test's objects";
  readonly #secrets = new Map<string, KubeObject>();
  #objects: KubeObject[] = [];
  #sink: ObjectSink | undefined;
  #secretsChanged: () => void = () => {};

  put(...texts: readonly string[]): void {
    for (const object of texts.map(objectOf)) {
      if (object.kind === "Secret") this.#secrets.set(nameOf(object.metadata), object);
      else this.#objects.push(object);
      if (object.kind === "Secret") this.#secretsChanged();
      else this.#sink?.set(object, "");
    }
  }
  take(text: string): void {
    const { apiVersion, kind, metadata } = objectOf(text);
    this.#objects = this.#objects.filter((object) => nameOf(object.metadata) !== nameOf(metadata));
    this.#sink?.delete({ apiVersion, kind, metadata });
  }
  async start(sink: ObjectSink): Promise<void> {
    this.#sink = sink;
    for (const object of this.#objects) sink.set(object, "");
  }
  onSecrets(observer: () => void): void {
    this.#secretsChanged = observer;
  }
  async secret(name: ObjectName): Promise<ReadonlyMap<string, string> | "absent"> {
    const found = this.#secrets.get(nameOf(name));
    return found === undefined ? "absent" : secretTexts(found);
  }
  problems(): readonly [] {
    return [];
  }
  async close(): Promise<void> {}
}

const objectOf = (text: string): KubeObject => parse(text) as KubeObject;

const nameOf = ({ namespace = "", name }: { readonly namespace?: string; readonly name: string }): string =>
  `${namespace}/${name}`;

/** A trust manager without ports, over a store in a folder; clusters are what the test says of them. */
export class ManagerLab implements AsyncDisposable {
  readonly feed = new TestFeed();
  readonly host = realHost();
  readonly #folder: string;
  readonly #reports = new Map<string, ClusterReport>();
  #manager: TrustManager | undefined;

  private constructor(folder: string) {
    this.#folder = folder;
  }

  static async open(...texts: readonly string[]): Promise<ManagerLab> {
    const lab = new ManagerLab((await folderOf({})).path);
    lab.feed.put(...texts);
    await lab.start();
    return lab;
  }

  /** What the manager keeps. */
  get store(): FolderStore {
    return new FolderStore(`${this.#folder}/trust`);
  }

  async start(): Promise<void> {
    const ground = { feed: this.feed, store: this.store, api: undefined };
    const openIssuer = issuerOpener(this.host, ground);
    this.#manager = await TrustManager.open(this.host, { ...ground, openIssuer }, signal);
    await this.#manager.start(signal);
  }

  async restart(): Promise<void> {
    await this.#manager!.close();
    await this.start();
  }

  get view(): TrustView {
    return this.#manager!.view();
  }
  get desk(): TrustManager["desk"] {
    return this.#manager!.desk;
  }

  /** What the status of an object is to say, once it has settled. */
  messageOf(kind: string, name: string): string {
    const { fields } = this.#manager!.statuses.get(`${kind}/gloo-mesh/${name}`) ?? {};
    return (fields as { readonly status?: { readonly message?: string } } | undefined)?.status?.message ?? "";
  }

  until(holds: () => boolean): Promise<void> {
    return until(holds);
  }

  /** What a cluster is told, once it is told so. */
  async word(name: string): Promise<NonNullable<ReturnType<TrustManager["desk"]["wordFor"]>>> {
    const cluster = clusterId(name);
    await until(() => this.desk.wordFor(cluster) !== undefined);
    return this.desk.wordFor(cluster)!;
  }

  /** The cluster calls for the first time, having nothing. */
  call(name: string): void {
    const cluster = clusterId(name);
    const clock = this.host.clock.now();
    this.desk.connected(cluster, { cluster, version: "test", clock }, "192.0.2.1");
    this.desk.reported(cluster, { ...EMPTY, clock });
  }

  async order(name: string): Promise<Order> {
    await until(() => {
      const word = this.desk.wordFor(clusterId(name));
      return word?.kind === "order" && word.order.signingRoot !== undefined;
    });
    const word = this.desk.wordFor(clusterId(name))!;
    if (word.kind !== "order") throw new Error(word.reason);
    return word.order;
  }

  /** A cluster that makes its key, asks, and installs what it gets. */
  async join(name: string): Promise<SignedIntermediate> {
    const order = await this.order(name);
    const signed = await this.ask(clusterId(name), order);
    this.installed(name, order, signed);
    return signed;
  }

  async ask(cluster: ClusterId, order: Order): Promise<SignedIntermediate> {
    const { trustDomain, generation, intermediate } = order;
    const { csr } = await newAuthorityRequest({ ...intermediate, trustDomain });
    return this.desk.sign(cluster, { id: "1", csr, generation }, signal);
  }

  /** It says that it did what it was told. */
  installed(name: string, order: Order, { chain, root }: SignedIntermediate): void {
    const { generation, roots } = order;
    const clock = this.host.clock.now();
    const report = { ...EMPTY, clock, generation, roots, chain, signingRoot: fingerprintOf(root) };
    this.#reports.set(name, report);
    this.desk.reported(clusterId(name), report);
  }

  /** What it said last. */
  reportOf(name: string): ClusterReport {
    return this.#reports.get(name) ?? EMPTY;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#manager!.close();
    await rm(this.#folder, { recursive: true, force: true });
  }
}

const EMPTY: ClusterReport = {
  ...{ generation: "", roots: [], chain: [], signingRoot: undefined, rootWaitMs: 0 },
  ...{ waits: [], problems: [], restarts: [], clock: 0, version: "test" },
};
