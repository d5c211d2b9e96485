"""Who somebody is and what they may: pure, so that one room decides for every door."""
