import type { TokenReviewer } from "../../src/ca/token-review-authenticator.ts";
import type { TokenClaims } from "../../src/ca/token-review.ts";
import { VirtualClock } from "../sim/world.ts";

export const NOW = new VirtualClock().now();
/** Tokens are of an hour, unless a test says otherwise. */
export const EXPIRES_AT = NOW + 3_600_000;

const part = (value: unknown): string => Buffer.from(JSON.stringify(value)).toString("base64url");

/** A token of shop/cart-0 but for what is given; no claims at all if that is null. */
export function jwt(
  over: object | null,
  header: unknown = { alg: "RS256", kid: "../../" },
  signature = "c2ln",
): string {
  const claims = over && {
    sub: "system:serviceaccount:shop:cart",
    aud: ["istio-ca"],
    exp: EXPIRES_AT / 1000,
    "kubernetes.io": { pod: { name: "cart-0", uid: "u1" } },
    ...over,
  };
  return `${part(header)}.${part(claims)}.${signature}`;
}

/** What such a token says of itself. */
export const claimsOf = (over: Partial<TokenClaims>): TokenClaims => ({
  username: "system:serviceaccount:shop:cart",
  pod: { name: "cart-0", uid: "u1" },
  expiresAt: EXPIRES_AT,
  ...over,
});

/** What an API server says of it. */
export const statusOf = (over: object) => ({
  authenticated: true,
  user: {
    username: "system:serviceaccount:shop:cart",
    groups: ["system:serviceaccounts", "system:authenticated"],
    extra: {
      "authentication.kubernetes.io/pod-name": ["cart-0"],
      "authentication.kubernetes.io/pod-uid": ["u1"],
    },
  },
  audiences: ["istio-ca"],
  ...over,
});

/** Answers as its mood is, and remembers what it was asked. */
export class FakeReviewer implements TokenReviewer {
  mood: "accepts" | "refuses" | "fails" | "is silent" = "accepts";
  readonly asked: string[] = [];
  aborted = 0;
  /** Only these are answered late: once `release` is called. */
  readonly #held: (() => void)[] = [];
  held = false;

  async review(token: string, audiences: readonly string[], signal: AbortSignal): Promise<unknown> {
    this.asked.push(`${token} ${audiences.join()}`);
    signal.addEventListener("abort", () => (this.aborted += 1));
    if (this.held) await new Promise<void>((resolve) => this.#held.push(resolve));
    if (this.mood === "is silent") return new Promise(() => {});
    if (this.mood === "fails") throw new Error("connection refused");
    return statusOf({ authenticated: this.mood === "accepts" });
  }

  release(): void {
    for (const resolve of this.#held.splice(0)) resolve();
  }
}
