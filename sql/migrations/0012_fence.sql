-- What `fence_stream` (0007) does for rebuilds as well needs no function of its own.

drop function fence_rebuilds(text);
