import assert from "node:assert/strict";
import type { envoy } from "../../../proto/gen/mesh.js";
import type { Message } from "../fake-channel.ts";
import { proxyNode, typeOf, type TypeWord, wordOf } from "./proxy-lab.ts";

type Response = envoy.service.discovery.v3.IDeltaDiscoveryResponse;
type Held = Map<string, { readonly version: string; readonly content: string }>;

const TYPES = ["CDS", "EDS", "LDS", "RDS"] as const;

/** A resource that cannot be read: the whole response is rejected. */
export const BAD = "bad";
/** The clusters that a listener or routes lead to, as in `to a b #3`. */
const clustersIn = (content: string): readonly string[] =>
  content.startsWith("to ") ? content.slice(3).replace(/#.*/, "").trim().split(" ") : [];

/**
 * What a stock Envoy does with what it is told, as observed: a cluster that is new or changed is used once its endpoints
 * came after it, and answers for clusters wait for that; a listener takes over once it has its routes. What it is asked
 * again after a lost stream comes in any order, clusters only once they are ready.
 */
export class ModelEnvoy {
  /** What it was told, used or not. */
  readonly held: Readonly<Record<(typeof TYPES)[number], Held>> = {
    CDS: new Map(),
    EDS: new Map(),
    LDS: new Map(),
    RDS: new Map(),
  };
  /** Clusters that wait for their endpoints; the one before serves meanwhile, if there was one. */
  readonly #warming = new Set<string>();
  readonly #ready = new Set<string>();
  /** What listeners do now: the routes that they follow, or themselves. */
  readonly #active = new Map<string, string>();
  /** The first answer for clusters does not wait. */
  #initialized = false;
  #deferred: Message[] = [];
  #toSend: Message[] = [];
  #asked = new Set<TypeWord>();
  rejections = 0;
  /** Answers before it asks for what it needs; the real one was only ever seen to ask first. */
  readonly #hasty: boolean;

  constructor(hasty: boolean) {
    this.#hasty = hasty;
  }

  /** Opens a stream. @param order in which it asks again for what it knows. */
  connect(order: readonly TypeWord[]): void {
    this.#toSend = [];
    this.#deferred = [];
    this.#asked.clear();
    const types = this.#initialized ? order.filter((word) => word !== "SDS") : (["CDS"] as const);
    for (const word of types) if (word !== "CDS" || this.#warming.size === 0) this.#ask(word);
  }

  /** What it sends next. */
  next(): Message | undefined {
    return this.#toSend.shift();
  }
  get silent(): boolean {
    return this.#toSend.length === 0;
  }
  get warming(): number {
    return this.#warming.size;
  }

  receive(response: Response): void {
    const word = wordOf(response.typeUrl ?? "");
    assert(word !== "SDS");
    const answer: Message = { typeUrl: response.typeUrl!, responseNonce: response.nonce! };
    const resources = (response.resources ?? []).map(({ name, version, resource }) => {
      return { name: name!, version: version!, content: Buffer.from(resource!.value!).toString() };
    });
    if (resources.some(({ content }) => content.includes(BAD))) {
      this.rejections += 1;
      this.#toSend.push({ ...answer, errorDetail: { message: "cannot be read" } });
      return;
    }
    const asksFrom = this.#toSend.length;
    for (const { name, ...value } of resources) this.#take(word, name, value);
    for (const name of response.removedResources ?? []) this.#lose(word, name);
    if (word === "CDS" && this.#initialized && this.#warming.size > 0) this.#deferred.push(answer);
    else this.#toSend.splice(this.#hasty ? asksFrom : this.#toSend.length, 0, answer);
    if (word === "CDS" && !this.#initialized) {
      this.#initialized = true;
      this.#ask("LDS");
    }
  }

  /** Where a request may end now that is no cluster with endpoints. */
  dangling(): readonly string[] {
    return [...this.#active].flatMap(([listener, how]) => {
      const content = how.startsWith("to ") ? how : this.held.RDS.get(how)?.content;
      return clustersIn(content ?? "").flatMap((name) => (this.#ready.has(name) ? [] : [`${listener} to ${name}`]));
    });
  }

  #take(word: (typeof TYPES)[number], name: string, value: { version: string; content: string }): void {
    // What it does not follow any more is passed over.
    if (word === "EDS" && !this.held.CDS.has(name)) return;
    if (word === "RDS" && !this.#routesFollowed().includes(name)) return;
    const before = this.held[word].get(name);
    this.held[word].set(name, value);
    if (word === "CDS" && before?.content !== value.content) this.#warm(name);
    if (word === "EDS") this.#endpointsCame(name);
    if (word === "LDS") this.#listen(name, value.content);
    if (word === "RDS") this.#routesCame(name);
  }

  #lose(word: (typeof TYPES)[number], name: string): void {
    if (word === "EDS") return this.#endpointsCame(name);
    // Envoy passes over routes that are taken away.
    if (word === "RDS") return;
    this.held[word].delete(name);
    if (word === "LDS") {
      this.#active.delete(name);
      this.#withdraw("RDS", name.replace("inbound|", "http|"));
      return;
    }
    this.#ready.delete(name);
    this.#warming.delete(name);
    this.#withdraw("EDS", name);
    this.#answerDeferred();
  }

  #warm(name: string): void {
    this.#warming.add(name);
    if (!this.held.EDS.has(name)) this.#subscribe("EDS", name);
  }

  #endpointsCame(name: string): void {
    if (this.#warming.delete(name)) this.#ready.add(name);
    this.#answerDeferred();
  }

  #answerDeferred(): void {
    if (this.#warming.size > 0) return;
    this.#toSend.push(...this.#deferred.splice(0));
    if (this.#initialized && !this.#asked.has("CDS")) this.#ask("CDS");
  }

  #listen(name: string, content: string): void {
    if (content.startsWith("to ")) {
      this.#active.set(name, content);
      this.#withdraw("RDS", name.replace("inbound|", "http|"));
      return;
    }
    const routes = content.split(" ")[0]!;
    if (this.held.RDS.has(routes)) this.#active.set(name, routes);
    else this.#subscribe("RDS", routes);
  }

  #routesCame(name: string): void {
    for (const [listener, { content }] of this.held.LDS)
      if (content.split(" ")[0] === name) this.#active.set(listener, name);
  }

  #subscribe(word: "EDS" | "RDS", name: string): void {
    this.#asked.add(word);
    this.#toSend.push({ typeUrl: typeOf(word), node: proxyNode(), resourceNamesSubscribe: [name] });
  }

  #withdraw(word: "EDS" | "RDS", name: string): void {
    this.held[word].delete(name);
    this.#toSend.push({ typeUrl: typeOf(word), node: proxyNode(), resourceNamesUnsubscribe: [name] });
  }

  #ask(word: TypeWord): void {
    assert(word !== "SDS");
    this.#asked.add(word);
    const held = Array.from(this.held[word], ([name, { version }]) => [name, version] as const);
    const names = word === "EDS" ? [...this.held.CDS.keys()] : word === "RDS" ? this.#routesFollowed() : [];
    const resourceNamesSubscribe = [...names];
    const initialResourceVersions = Object.fromEntries(held);
    this.#toSend.push({ typeUrl: typeOf(word), node: proxyNode(), resourceNamesSubscribe, initialResourceVersions });
  }

  #routesFollowed(): readonly string[] {
    const contents = Array.from(this.held.LDS.values(), ({ content }) => content);
    return contents.flatMap((content) => (content.startsWith("to ") ? [] : [content.split(" ")[0]!]));
  }
}
