import assert from "node:assert/strict";
import test from "node:test";
import { Booking } from "../src/call/booking";

/** A booking, the paths that were hung up, and the answer of a server that takes its time. */
function booked() {
    const hungUp: string[] = [];
    const booking = new Booking(async (path) => hungUp.push(path));
    let answer: (path: string | null) => void = () => undefined;
    const join = new Promise<string | null>((resolve) => {
        answer = resolve;
    });
    return { booking, hungUp, join, answer };
}

test("who leaves while the server is letting him in hangs up when it has", async () => {
    const { booking, hungUp, join, answer } = booked();
    booking.book(join);
    booking.giveBack();
    assert.deepEqual(hungUp, []);
    answer("/join/1");
    await booking.free;
    assert.deepEqual(hungUp, ["/join/1"]);
});

test("whose seat could not be taken anew hangs up the call that he has in it", async () => {
    const { booking, hungUp, join, answer } = booked();
    booking.book(Promise.resolve("/join/before"));
    booking.book(join);
    answer(null);
    booking.giveBack();
    await booking.free;
    assert.deepEqual(hungUp, ["/join/before"]);
});

test("what was given back is not given back again", async () => {
    const { booking, hungUp } = booked();
    booking.book(Promise.resolve("/join/1"));
    booking.giveBack();
    booking.giveBack();
    await booking.free;
    assert.deepEqual(hungUp, ["/join/1"]);
});

test("it is free when the server has let go, not when it was asked to", async () => {
    const { booking, hungUp, join, answer } = booked();
    let free = false;
    booking.book(join);
    booking.giveBack();
    void booking.free.then(() => {
        free = true;
    });
    await new Promise((resolve) => setTimeout(resolve));
    assert.equal(free, false);
    answer("/join/1");
    await booking.free;
    assert.deepEqual(hungUp, ["/join/1"]);
});
