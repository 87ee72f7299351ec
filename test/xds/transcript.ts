import assert from "node:assert/strict";
import { MeshError } from "../../src/errors.ts";
import { ClientStream, type StreamLimits } from "../../src/xds/client-stream.ts";
import { ADDRESS_TYPE, AUTHORIZATION_TYPE, type DeltaRequest, type TypeUrl } from "../../src/xds/resource.ts";
import { decode, Mesh } from "../sim/mesh.ts";
import { VirtualClock } from "../sim/world.ts";

const TYPES: Readonly<Record<string, TypeUrl>> = { Address: ADDRESS_TYPE, Authorization: AUTHORIZATION_TYPE };
const typeUrl = (word: string): TypeUrl => TYPES[word] ?? ((word === "''" ? "" : word) as TypeUrl);
const shortType = (url: string): string => Object.keys(TYPES).find((word) => TYPES[word] === url) ?? url;

const NODE_ID = "ztunnel~10.0.0.9~ztunnel-1.istio-system~istio-system.svc.cluster.local";

/**
 * Plays the `mesh`, `client`, `clock`, `socket` and `limits` lines of a transcript, and puts after each what the server then does.
 * `mesh` lines that follow each other are one flush. Lines of `server` are what is being tested, so they are ignored.
 */
export function play(script: string): string {
  const stage = new Stage();
  const lines = script.split("\n").filter((line) => !line.startsWith("server "));
  const played = lines.flatMap((line, at) => {
    const [actor, ...words] = line.trim().split(/ +/);
    if (actor === "" || actor === undefined || actor.startsWith("#")) return [line];
    stage.act(actor, words);
    const more = actor === "mesh" && lines[at + 1]?.startsWith("mesh ") === true;
    return [line, ...(more ? [] : stage.answers())];
  });
  return played.join("\n");
}

class Stage {
  readonly #mesh = new Mesh();
  readonly #clock = new VirtualClock();
  #limits: Partial<StreamLimits> = {};
  /** When the socket last took bytes. */
  #progressMs = 0;
  #stream: ClientStream | undefined;
  #streams = 0;
  readonly #lastNonce = new Map<string, string>();
  #said: string[] = [];

  act(actor: string, words: readonly string[]): void {
    if (actor === "mesh") this.#changeMesh(words);
    else if (actor === "clock") this.#clock.advance(Number(words[0]));
    else if (actor === "limits")
      this.#limits = Object.fromEntries(words.map((word) => [word.split("=")[0]!, Number(word.split("=")[1])]));
    else if (actor === "socket" && words[0] === "moves") this.#progressMs = this.#clock.elapsedMs();
    else if (actor === "client") this.#request(words);
    else assert.fail(`a transcript has no actor "${actor}"`);
  }

  /** What the server does now. */
  answers(): string[] {
    this.#mesh.graph.flush();
    for (let response = this.#stream?.poll(); response !== undefined; response = this.#stream?.poll()) {
      const sent = decode(response.records).map(({ name }) => ` +${name}`);
      assert.equal(sent.length, response.resources);
      const removed = response.removed.map((name) => ` -${name}`);
      const what = [...sent.sort(), ...removed.sort()].join("") || " nothing";
      this.#lastNonce.set(response.typeUrl, response.nonce);
      this.#said.push(`server  ${shortType(response.typeUrl)} ${response.nonce}${what}`);
    }
    return this.#said.splice(0);
  }

  #changeMesh([verb, name, ...rest]: readonly string[]): void {
    assert(name !== undefined);
    const { pods, services, policies } = this.#mesh;
    const facts = new Map(rest.map((fact) => fact.split("=") as [string, string]));
    const text = (key: string) => facts.get(key) ?? "";
    const revision = Number(facts.get("revision") ?? 1);
    if (verb === "pod")
      pods.set(name, {
        app: text("app"),
        node: text("node"),
        address: text("ip"),
        healthy: !facts.has("unhealthy"),
        revision,
      });
    else if (verb === "service") services.set(name, { vip: text("vip"), allowAll: facts.has("allow-all"), revision });
    else if (verb === "policy") policies.set(name, { app: text("app"), revision });
    else if (verb === "gone") for (const source of [pods, services, policies]) source.delete(name);
    else assert.fail(`a mesh has no "${verb}"`);
  }

  #request([word, ...words]: readonly string[]): void {
    if (word === "connects") return this.#connect();
    if (word === "leaves") {
      this.#stream?.close();
      this.#stream = undefined;
      return;
    }
    if (this.#stream === undefined) this.#connect();
    const stream = this.#stream!;
    if (word === "status") {
      for (const status of stream.status()) this.#said.push(`server  ${describe(status)}`);
      this.#said.push(`server  ${stream.strayNonces} stray nonces`);
      return;
    }
    try {
      stream.receive(this.#parse(typeUrl(word!), words));
    } catch (error) {
      assert(error instanceof MeshError);
      this.#said.push(`server  refuses with ${error.code}: ${error.message}`);
    }
  }

  #connect(): void {
    this.#stream?.close();
    this.#streams += 1;
    this.#stream = new ClientStream(this.#mesh.logs, this.#clock, {
      id: String.fromCharCode("a".charCodeAt(0) + this.#streams - 1),
      limits: this.#limits,
      onWake: () => {},
      lastProgressMs: () => this.#progressMs,
      onExpired: (error) => this.#said.push(`server  ends the stream with ${error.code}: ${error.message}`),
    });
  }

  #parse(type: TypeUrl, words: readonly string[]): DeltaRequest {
    const request = {
      typeUrl: type,
      node: undefined as DeltaRequest["node"],
      subscribe: [] as string[],
      unsubscribe: [] as string[],
      initialVersions: new Map<string, string>(),
      nonce: "",
      rejection: undefined as string | undefined,
    };
    const node = (id: string) => ({ id, metadata: new Map([["NODE_NAME", "n1"]]) });
    for (const [at, word] of words.entries()) {
      const [key, value = ""] = split(word, "=");
      if (key === "first") request.node = node(NODE_ID);
      else if (key === "node") request.node = node(JSON.parse(`"${value}"`) as string);
      else if (key === "holds") {
        const [name, version] = split(value, "@");
        request.initialVersions.set(name, version === "same" ? this.#mesh.log(type).versionOf(name)! : version);
      } else if (key === "subscribe") request.subscribe.push(value);
      else if (key === "unsubscribe") request.unsubscribe.push(value);
      else if (key === "ack") request.nonce = value || this.#lastNonce.get(type)!;
      else if (key === "nack") {
        request.nonce = value || this.#lastNonce.get(type)!;
        request.rejection = JSON.parse(words.slice(at + 1).join(" ")) as string;
        break;
      } else assert.fail(`a request has no "${key}"`);
    }
    return request;
  }
}

function split(text: string, at: string): [string, string] {
  const place = text.indexOf(at);
  return place < 0 ? [text, ""] : [text.slice(0, place), text.slice(place + 1)];
}

function describe(status: ReturnType<ClientStream["status"]>[number]): string {
  const { wildcard, subscribed, sentNonce, ackedNonce, rejections, lastRejection, backlog } = status;
  const mode = wildcard ? "wildcard" : `${subscribed} names`;
  const rejected = rejections > 0 ? `, rejected ${rejections}: ${lastRejection || "none since"}` : "";
  return `${shortType(status.typeUrl)} ${mode}, sent ${sentNonce || "nothing"}, acked ${ackedNonce || "nothing"}, waiting ${backlog}${rejected}`;
}
