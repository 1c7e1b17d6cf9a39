"""Counts primes in ten slices and says how far it is: the demo's long task."""

import sys
import time

SLICES, WIDTH = 10, 20_000


def is_prime(number):
    if number < 2:
        return False
    divisor = 2
    while divisor * divisor <= number:
        if number % divisor == 0:
            return False
        divisor += 1
    return True


total = 0
for part in range(SLICES):
    started = time.monotonic()
    total += sum(1 for n in range(part * WIDTH, (part + 1) * WIDTH) if is_prime(n))
    print(f"slice {part + 1:2} of {SLICES}: {total} primes below {(part + 1) * WIDTH}", flush=True)
    time.sleep(max(0.0, 0.8 - (time.monotonic() - started)))  # slow enough to watch
sys.exit(0 if total == 17984 else 1)
