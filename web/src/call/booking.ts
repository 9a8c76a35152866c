/**
 * What the server has booked for this page: the path of its call, which is known only once a join was answered.
 *
 * A join that was sent lets him in whether or not anybody still waits for the answer. So it is never taken back: who
 * leaves meanwhile hangs up when the answer has come. Else he would sit in the room, unheard, until the server misses his
 * media, and keep a seat that the link may have only one of.
 */
export class Booking {
    /** That of the call before, until there is another. */
    private path: Promise<string | null> = Promise.resolve(null);
    private givingBack: Promise<unknown> = Promise.resolve();

    constructor(private readonly hangUp: (path: string) => Promise<unknown>) {}

    /** Kept when the server has been told of all that was given back. A join before that may find the link in use. */
    get free(): Promise<unknown> {
        return this.givingBack;
    }

    /** A join is under way, `path` what comes of it: null, nothing. */
    book(path: Promise<string | null>): void {
        const before = this.path;
        this.path = path.then(async (now) => now ?? (await before));
    }

    /** Hangs up, now or as soon as the server has said what. */
    giveBack(): void {
        const path = this.path;
        this.path = Promise.resolve(null);
        this.givingBack = this.givingBack.then(async () => {
            const booked = await path;
            if (booked) await this.hangUp(booked);
        });
    }
}
