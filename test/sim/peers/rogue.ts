import assert from "node:assert/strict";
import { SGDS_TYPE } from "../../../src/xds/resource.ts";
import type { PeerProof } from "../../../src/xds/peer-gate.ts";
import { encodeDeltaRequest } from "../../../src/xds/wire.ts";
import type { Party } from "./net.ts";
import { nodeOf, type OpenStream, type Plane } from "./plane.ts";

/** A control plane with an authority of its own that says it is of a cluster which is another's (operations.md 3.4, fault 15). */
export class Rogue implements Party {
  readonly site = "rogue";
  readonly frozen = false;
  refused = false;
  readonly #stream: OpenStream;

  /** @param isOwn if it says that it is of the very cluster that it calls. */
  constructor(plane: Plane, proof: PeerProof, claimed: string, isOwn: boolean) {
    this.#stream = plane.take(this, proof, {
      connected: () => {},
      received: () => assert(!isOwn, `${claimed} took a stranger for itself`),
      ended: (error) => (this.refused ||= error?.code === "denied"),
    });
    const nothing = { subscribe: [], unsubscribe: [], nonce: "", rejection: undefined };
    this.#stream.write(
      encodeDeltaRequest({ typeUrl: SGDS_TYPE, node: nodeOf(claimed), initialVersions: new Map(), ...nothing }),
    );
  }

  run(task: () => void): void {
    task();
  }
  leave(): void {
    this.#stream.close();
  }
}
