import { MeshError } from "../errors.ts";
import type { Random } from "../host.ts";
import { parseCsr } from "./csr.ts";
import { LeafMaker } from "./leaf-maker.ts";
import { type OrderToSign, packReplies, type Replies, type ToThread } from "./signing-messages.ts";
import type { LintedCertificate } from "./signer.ts";

/** What a signing thread does, without the thread: requests are read and verified, certificates made and linted. */
export class SigningDesk {
  readonly #random: Random;
  #leaves: LeafMaker | undefined;
  #last: Promise<unknown> = Promise.resolve();

  constructor(random: Random) {
    this.#random = random;
  }

  /** In the order of the calls. @returns what is to be answered, if anything. */
  take(message: ToThread): Promise<Replies | undefined> {
    const taken = this.#last.then(() => this.#work(message));
    this.#last = taken;
    return taken;
  }

  async #work(message: ToThread): Promise<Replies | undefined> {
    if (message.kind === "orders")
      return packReplies(await Promise.all(message.orders.map((order) => this.#make(order))));
    this.#leaves = new LeafMaker(message.issuer, message.trustDomain, this.#random);
    return undefined;
  }

  async #make({ identity, csr, ttlSeconds, now }: OrderToSign): Promise<LintedCertificate | MeshError> {
    try {
      if (this.#leaves === undefined) throw new MeshError("unavailable", "this thread has no authority yet");
      return this.#leaves.make({ identity, publicKey: await parseCsr(csr), ttlSeconds }, now);
    } catch (thrown) {
      return MeshError.from(thrown);
    }
  }
}
