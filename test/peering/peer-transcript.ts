import assert from "node:assert/strict";
import { MeshError } from "../../src/errors.ts";
import { clusterId, objectKey } from "../../src/names.ts";
import { FSDS_TYPE } from "../../src/xds/resource.ts";
import { authorities, gatewayTo, type PeerEnd, PEER_TYPES, ServingLab, sharedService, shownBy } from "./serving-lab.ts";

const nameOfType = (url: string): string => Object.keys(PEER_TYPES).find((word) => PEER_TYPES[word] === url) ?? url;

/**
 * Plays the lines of `east`, which serves, and of `west`, which reads, and puts after each what east then says. Its own
 * lines are what is being tested, so they are ignored.
 */
export async function playPeers(script: string): Promise<string> {
  const lines = script.split("\n").filter((line) => !line.startsWith("server "));
  const stage = new Stage(await ServingLab.open({ served: /^east +serves listed/m.test(script) ? "listed" : "any" }));
  const played: string[] = [];
  for (const line of lines) {
    played.push(line);
    const [actor, verb, ...words] = line.trim().split(/ +/);
    if (actor === undefined || actor === "" || actor.startsWith("#")) continue;
    if (actor === "east") stage.changeEast(verb!, words);
    else if (actor === "west") await stage.ask(verb!, words);
    else assert.fail(`a dialogue of peers has no actor "${actor}"`);
    played.push(...stage.answers());
  }
  return played.join("\n");
}

class Stage {
  readonly #lab: ServingLab;
  #west: PeerEnd | undefined;
  readonly #nonces = new Map<string, string>();
  #said: string[] = [];

  constructor(lab: ServingLab) {
    this.#lab = lab;
  }

  changeEast(verb: string, [name = "", ...facts]: readonly string[]): void {
    const said = new Map(facts.map((fact) => fact.split("=") as [string, string]));
    const [namespace = "", service = ""] = name.split("/");
    const lab = this.#lab;
    if (verb === "shares")
      lab.share(sharedService(namespace, service, { ready: Number(said.get("ready") ?? 1), total: 9 }));
    else if (verb === "withdraws") lab.services.delete(objectKey(clusterId("east"), namespace, service));
    else if (verb === "grants") {
      const namespaces = (said.get("namespaces") ?? "").split(",");
      lab.grant(name, { cluster: clusterId(name), exports: { namespaces, services: undefined } });
    } else if (verb === "ungrants") lab.grants.delete(objectKey(clusterId("east"), "istio-system", name));
    else if (verb === "links") lab.gateways.set(gatewayTo(name).gateway, gatewayTo(name));
    else if (verb === "unlinks") lab.gateways.delete(gatewayTo(name).gateway);
    else if (verb === "starts") lab.whyNotJoined = "its objects are being read";
    else if (verb === "joins") lab.whyNotJoined = undefined;
    else assert.equal(verb, "serves", "a verb of east");
    lab.settle();
  }

  async ask(verb: string, words: readonly string[]): Promise<void> {
    if (verb === "connects") {
      const made = await authorities();
      const authority = words.includes("authority=north") ? made.north : made.west;
      try {
        this.#west = await this.#lab.connect(await shownBy(authority));
      } catch (thrown) {
        this.#said.push(`server refuses: ${MeshError.from(thrown).message}`);
      }
      return;
    }
    if (verb === "leaves") return void this.#west!.end();
    const versions: Record<string, string> = {};
    let [nonce, cluster, rejection]: (string | undefined)[] = [];
    for (const [at, word] of words.entries()) {
      const [key, value = ""] = word.split("=");
      if (key === "first") cluster = value || "west";
      else if (key === "holds") Object.assign(versions, this.#held(value));
      else if (key === "ack" || key === "nack") nonce = this.#nonces.get(verb)!;
      else assert.fail(`a request of a peer has no "${key}"`);
      if (key !== "nack") continue;
      rejection = words.slice(at + 1).join(" ");
      break;
    }
    this.#west!.ask(verb, cluster, {
      initialResourceVersions: versions,
      ...(nonce !== undefined && { responseNonce: nonce }),
      ...(rejection !== undefined && { errorDetail: { message: rejection } }),
    });
  }

  #held(value: string): Readonly<Record<string, string>> {
    const [name = "", version = ""] = value.split("@");
    const log = this.#lab.exports.lease({ granted: [], segment: undefined }).logs.get(FSDS_TYPE)!;
    return { [name]: version === "same" ? log.versionOf(name)! : version };
  }

  answers(): readonly string[] {
    for (const response of this.#west?.read() ?? []) {
      const type = nameOfType(response.typeUrl);
      this.#nonces.set(type, response.nonce);
      // In the order of the wire: what matters is that the marker is last.
      const sent = response.resources.map(({ name }) => `+${name!.replace(/^(__synced__\/).*/, "$1<epoch>")}`);
      const removed = response.removedResources.map((name) => `-${name}`);
      this.#said.push(`server ${type} ${[...removed, ...sent].join(" ") || "nothing"}`);
    }
    const ended = this.#west?.ended;
    if (ended instanceof MeshError)
      this.#said.push(
        `server ends with ${this.#west!.why}: ${ended.message.replace(/key [0-9a-f]{16}/g, "key <sha-256>")}`,
      );
    if (ended !== undefined) this.#west = undefined;
    return this.#said.splice(0);
  }
}
