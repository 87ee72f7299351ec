import { MeshError } from "../errors.ts";
import { type KubeApi, pathOf } from "./api.ts";
import { TOKEN_REVIEWS } from "./resource-types.ts";

/** Asks one API server about tokens; needs the right to create `tokenreviews` there. */
export class KubeTokenReviewer {
  readonly #api: Pick<KubeApi, "call" | "server">;

  constructor(api: Pick<KubeApi, "call" | "server">) {
    this.#api = api;
  }

  /**
   * @returns the status of the review; nothing of it was checked.
   * @throws ApiError if it was not answered, MeshError `unavailable` if the answer has no status.
   */
  async review(token: string, audiences: readonly string[], signal: AbortSignal): Promise<unknown> {
    const [version = ""] = TOKEN_REVIEWS.versions;
    const apiVersion = `${TOKEN_REVIEWS.group}/${version}`;
    const body = { apiVersion, kind: TOKEN_REVIEWS.kind, spec: { token, audiences } };
    const answer = await this.#api.call({ method: "POST", path: pathOf(TOKEN_REVIEWS, version), body }, signal);
    if (answer !== null && typeof answer === "object" && "status" in answer) return answer.status;
    throw new MeshError("unavailable", `${this.#api.server} answered a TokenReview without a status`);
  }
}
